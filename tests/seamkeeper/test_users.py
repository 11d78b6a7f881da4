"""Comparing: what is drift, what only looks like it, and what must never be sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from seamkeeper import users

AT = datetime(2026, 11, 22, tzinfo=UTC)
SCHEDULE = {"starts_at": "2026-11-01T10:00:00.000Z", "ends_at": "2026-12-01T10:00:00.000Z"}

SAME = {
    "name-trimmed": ("full_name", "Jack Doe", "Jack Doe "),
    "email-case": ("email_address", "Jack@Example.com", "jack@example.com"),
    "phone-spaced": ("phone_number", "+1 555 555 0100", "+15555550100"),
    "phone-without-plus": ("phone_number", "15555550100", "+15555550100"),
    "phone-partial": ("phone_number", "5555550100", "+15555550100"),
    "phone-masked": ("phone_number", "+1*******100", "+15555550100"),
    "phone-masked-with-x": ("phone_number", "+1555xxx0100", "+15555550100"),
    "instants-in-other-precision": (
        "access_schedule",
        {"starts_at": "2026-11-01T10:00:00Z", "ends_at": "2026-12-01T11:00:00.000000+01:00"},
        SCHEDULE,
    ),
    "no-schedule-is-null": ("access_schedule", None, None),
}
DIFFERENT = {
    "name": ("full_name", "Jack Doe", "Jane Doe"),
    "name-missing": ("full_name", None, "Jane Doe"),
    "phone": ("phone_number", "+15555550222", "+15555550100"),
    "phone-masked-contradicts": ("phone_number", "+1*******222", "+15555550100"),
    "phone-too-short-to-say": ("phone_number", "0100", "+15555550100"),
    "phone-missing": ("phone_number", None, "+15555550100"),
    "schedule-end": ("access_schedule", SCHEDULE | {"ends_at": "2026-12-02T10:00:00Z"}, SCHEDULE),
    "schedule-open": ("access_schedule", SCHEDULE | {"ends_at": None}, SCHEDULE),
    "schedule-to-remove": ("access_schedule", SCHEDULE, None),
}


@pytest.mark.parametrize(("name", "observed", "desired"), SAME.values(), ids=SAME.keys())
def test_what_seam_does_to_values_is_no_drift(name: str, observed: Any, desired: Any) -> None:
    """Else we would repair for ever."""
    assert users.drift({name: observed}, {name: desired}) == {}


@pytest.mark.parametrize(("name", "observed", "desired"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_real_difference_is_drift(name: str, observed: Any, desired: Any) -> None:
    """With both values, for the person who reads it."""
    assert users.drift({name: observed}, {name: desired}) == {name: users.Difference(observed, desired)}


def test_a_field_without_a_desired_value_is_not_managed() -> None:
    """Whatever it holds at Seam."""
    assert users.drift({"full_name": "A", "phone_number": "x"}, {"full_name": "A"}) == {}


def test_the_deprecated_email_counts_where_the_new_field_is_missing() -> None:
    """Older users have `email` only."""
    assert users.drift({"email": "a@b.co"}, {"email_address": "a@b.co"}) == {}


BAD = {
    "phone-national": {"phone_number": "(555) 555-0100"},
    "phone-without-plus": {"phone_number": "15555550100"},
    "phone-empty": {"phone_number": ""},
    "phone-with-newline": {"phone_number": "+15555550100\n"},
    "name-empty": {"full_name": " "},
    "name-number": {"full_name": 5},
    "email": {"email_address": "nobody"},
    "end-in-the-past": {"access_schedule": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-11-21T00:00:00Z"}},
    "end-before-start": {"access_schedule": {"starts_at": "2027-01-02T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z"}},
    "open-end": {"access_schedule": {"starts_at": "2027-01-02T00:00:00Z", "ends_at": None}},
    "end-missing": {"access_schedule": {"starts_at": "2027-01-02T00:00:00Z"}},
    "unknown-field": {"nickname": "J"},
}


@pytest.mark.parametrize("desired", BAD.values(), ids=BAD.keys())
def test_what_seam_would_refuse_is_named_before_it_is_sent(desired: dict[str, Any]) -> None:
    """By field, with a sentence."""
    assert set(users.mistakes(desired, at=AT)) == set(desired)


def test_good_values_have_no_mistakes() -> None:
    """All managed fields at once."""
    desired = {
        "full_name": "Jane Doe", "email_address": "jane@example.com", "phone_number": "+15555550100",
        "access_schedule": SCHEDULE, "hid_acs_system_id": "x",
    }  # fmt: skip

    assert users.mistakes(desired, at=AT) == {}
    assert users.mistakes({"access_schedule": None}, at=AT) == {}


def test_a_pending_mutation_that_leads_to_the_desired_value_is_awaited() -> None:
    """Repeating it would only queue the same change twice."""
    mutation = {"mutation_code": "updating_user_information", "from": {"full_name": "A"}, "to": {"full_name": "B"}}
    observed = {"full_name": "A", "pending_mutations": [mutation]}

    assert users.is_underway(observed, "full_name", "B")
    assert not users.is_underway(observed, "full_name", "C")
    assert not users.is_underway(observed, "email_address", "b@example.com")


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        ({"errors": [], "warnings": []}, "ok"),
        ({"errors": [], "warnings": [{"warning_code": "new_code"}]}, "warning"),
        ({"errors": [{"error_code": "new_code"}], "warnings": [{"warning_code": "being_deleted"}]}, "error"),
        (None, "deleted"),
        ({"errors": None, "warnings": "odd"}, "ok"),
    ],
    ids=["ok", "warning", "error", "gone", "odd-shapes"],
)
def test_health(observed: dict[str, Any] | None, expected: str) -> None:
    """Unknown codes count like known ones."""
    assert users.health(observed) == expected


IMPOSSIBLE = {
    "name": {"full_name": ""},
    "email": {"email_address": ""},
    "phone": {"phone_number": ""},
    "open-end": {"access_schedule": {"starts_at": "2027-01-02T00:00:00Z", "ends_at": None}},
    "open-start": {"access_schedule": {"starts_at": None, "ends_at": "2027-01-02T00:00:00Z"}},
}


@pytest.mark.parametrize("desired", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_no_update_can_reach_is_named(desired: dict[str, Any]) -> None:
    """It is compared all the same: who has it already is in sync."""
    assert set(users.cannot_be_set(desired)) == set(desired)
    assert users.drift({name: value or None for name, value in desired.items()}, desired) == {}


@pytest.mark.parametrize(
    "observed", [{}, {"is_suspended": None}, {"is_suspended": False}], ids=["missing", "null", "no"]
)
def test_who_is_not_said_to_be_suspended_is_not(observed: dict[str, Any]) -> None:
    """Providers that know no suspension leave the field out."""
    assert users.drift(observed, {"is_suspended": False}) == {}
    assert set(users.drift(observed, {"is_suspended": True})) == {"is_suspended"}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (None, True),
        (SCHEDULE, True),
        ({"starts_at": "2026-11-23T00:00:00Z", "ends_at": None}, False),
        ({"starts_at": "2026-11-01T00:00:00Z", "ends_at": None}, True),
        ({"starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-11-22T00:00:00Z"}, False),
        ({"starts_at": "rubbish", "ends_at": "2099-11-22T00:00:00Z"}, True),
    ],
    ids=["none", "running", "to-come", "open-end", "over", "unreadable"],
)
def test_whether_a_schedule_runs(schedule: Any, expected: bool) -> None:
    """Until its end, from its start on; what cannot be read keeps nobody out."""
    assert users.is_current(schedule, at=AT) is expected
