"""What is sent to Seam is checked by us first: Seam's prose has rules that neither its schema nor its SDK checks."""

from __future__ import annotations

from typing import Any

import pytest

from seamkeeper.errors import Permanent
from workers.repair import update_request

BY_ID = {"acs_user_id": "u1"}
BY_IDENTITY = {"user_identity_id": "i1", "acs_system_id": "s1"}


@pytest.mark.parametrize("chosen", [BY_ID, BY_IDENTITY], ids=["by-id", "by-identity-and-system"])
def test_a_user_is_chosen_in_one_of_two_ways(chosen: dict[str, str]) -> None:
    """And the fields go beside it."""
    assert update_request({"full_name": "Jane"}, **chosen) == {**chosen, "full_name": "Jane"}


def test_a_schedule_is_sent_in_utc() -> None:
    """Whatever offset it was desired in."""
    schedule = {"starts_at": "2099-01-01T09:00:00+01:00", "ends_at": "2099-02-01T00:00:00.5Z"}

    request = update_request({"access_schedule": schedule}, **BY_ID)

    assert request["access_schedule"] == {
        "starts_at": "2099-01-01T08:00:00.000000Z", "ends_at": "2099-02-01T00:00:00.5Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"user_identity_id": "i1"},
        {"acs_system_id": "s1"},
        {**BY_ID, **BY_IDENTITY},
        {**BY_ID, "acs_system_id": "s1"},
        {**BY_ID, "user_identity_id": "i1"},
    ],
    ids=["nothing", "identity-only", "system-only", "both", "id-and-system", "id-and-identity"],
)
def test_any_other_choice_is_refused_before_the_call(chosen: dict[str, str]) -> None:
    """Both at once might change somebody else."""
    with pytest.raises(Permanent, match="selected by"):
        update_request({"full_name": "Jane"}, **chosen)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "without any field"),
        ({"phone_number": "(555) 555-0100"}, "E.164"),
        ({"full_name": ""}, "empty"),
        ({"access_schedule": {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2021-01-01T00:00:00Z"}}, "past"),
        ({"access_schedule": {"starts_at": "2099-02-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}}, "not after"),
        ({"display_name": "Jane"}, "managed"),
    ],
    ids=["empty", "phone", "name", "past", "reversed", "not-updatable"],
)
def test_values_that_seam_would_refuse_are_refused_before_the_call(values: dict[str, Any], word: str) -> None:
    """With the field and the reason."""
    with pytest.raises(Permanent, match=word):
        update_request(values, **BY_ID)
