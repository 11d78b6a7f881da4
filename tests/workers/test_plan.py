"""The decision about one user, as a table: what is read, what is wanted, what is done and what is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from seamkeeper.policies import Policy
from workers.plan import SUSPEND, UNSUSPEND, UPDATE, Plan, Situation, Writes, key, plan_of

AT = datetime(2026, 11, 22, tzinfo=UTC)
WANTED = {"full_name": "Jane Doe"}
NOW = Situation(desired=WANTED, policy=Policy("apply", "never"), at=AT)
JACK = {"acs_user_id": "u1", "full_name": "Jack Doe"}


def with_error(code: str, **fields: Any) -> dict[str, Any]:
    return {**JACK, "errors": [{"error_code": code}], **fields}


def with_warning(code: str, **fields: Any) -> dict[str, Any]:
    return {**JACK, "warnings": [{"warning_code": code}], **fields}


def sent(plan: Plan) -> list[tuple[str, list[str]]]:
    """Endpoint and fields of each write."""
    return [(step.endpoint, list(step.fields)) for step in plan.steps]


def test_drift_is_one_update_of_the_drifted_fields() -> None:
    """And nothing else is touched."""
    plan = plan_of({**JACK, "phone_number": "x"}, NOW)

    assert (plan.verdict.sync, plan.verdict.reason) == ("drifted", None)
    assert sent(plan) == [(UPDATE, ["full_name"])]


def test_what_is_as_it_should_be_is_left_alone() -> None:
    """In sync, no write."""
    plan = plan_of({"full_name": " Jane Doe "}, NOW)

    assert (plan.verdict.sync, plan.steps, plan.findings) == ("in_sync", (), {})


@pytest.mark.parametrize(("is_suspended", "endpoints"), [(True, [SUSPEND, UPDATE]), (False, [UPDATE, UNSUSPEND])])
def test_suspension_has_endpoints_of_its_own(is_suspended: bool, endpoints: list[str]) -> None:
    """Nobody may enter meanwhile who shall not: suspended before the update, let in again behind it."""
    now = replace(NOW, desired={**WANTED, "is_suspended": is_suspended})

    plan = plan_of({**JACK, "is_suspended": not is_suspended}, now)

    fields = {UPDATE: ["full_name"]}
    assert sent(plan) == [(endpoint, fields.get(endpoint, ["is_suspended"])) for endpoint in endpoints]


def test_a_pending_mutation_that_leads_there_is_awaited() -> None:
    """`applying`, and no second write."""
    mutation = {"mutation_code": "updating_suspension_state", "to": {"is_suspended": True}}
    now = replace(NOW, desired={"is_suspended": True})

    plan = plan_of({**JACK, "pending_mutations": [mutation]}, now)

    assert (plan.verdict.sync, plan.steps) == ("applying", ())


HOLDS = {
    "paused": (
        replace(NOW, policy=Policy("paused", "never", "system", paused_until=AT + timedelta(hours=1))),
        "paused",
    ),
    "plan-by-settings": (replace(NOW, policy=Policy("plan", "never")), "SEAMKEEPER_REPAIR=plan"),
    "plan-by-policy": (replace(NOW, policy=Policy("plan", "never", "user")), "policy of the user=plan"),
    "disconnected": (replace(NOW, is_connected=False), "disconnected"),
    "announced-deletion": (replace(NOW, is_leaving=True), "announced"),
}


@pytest.mark.parametrize(("now", "word"), HOLDS.values(), ids=HOLDS.keys())
def test_what_holds_every_write_says_so(now: Situation, word: str) -> None:
    """The drift is shown all the same."""
    plan = plan_of(JACK, now)

    assert plan.steps == ()
    assert set(plan.verdict.drift) == {"full_name"}
    assert word in (plan.verdict.reason or "")
    assert plan.verdict.sync == ("paused" if word == "paused" else "drifted")


@pytest.mark.parametrize("now", [replace(NOW, policy=Policy("off", "never")), replace(NOW, desired={})],
                         ids=["off", "nothing-desired"])  # fmt: skip
def test_who_is_not_compared_is_unknown(now: Situation) -> None:
    """No drift is shown where nobody looks for it."""
    plan = plan_of(JACK, now)

    assert (plan.verdict.sync, plan.verdict.drift, plan.steps) == ("unknown", {}, ())


NEVER_WRITTEN = {
    "being-deleted": with_warning("being_deleted"),
    "deleting": {**JACK, "pending_mutations": [{"mutation_code": "deleting"}]},
    "deleted-externally": with_error("deleted_externally"),
    "limit": with_error("salto_ks_subscription_limit_exceeded"),
    "failed-to-delete": with_error("failed_to_delete_on_acs_system"),
    "latch-conflict": with_error("latch_conflict_with_resident_user"),
    "latch-resident": with_warning("latch_resident_user"),
}
STILL_WRITTEN = {
    "failed-to-create": with_error("failed_to_create_on_acs_system"),
    "failed-to-update": with_error("failed_to_update_on_acs_system"),
    "not-subscribed": with_warning("salto_ks_user_not_subscribed"),
    "inactive": with_warning("acs_user_inactive"),
    "unknown-issue": with_warning("unknown_issue_with_acs_user"),
    "code-of-tomorrow": with_error("code_of_tomorrow"),
}


@pytest.mark.parametrize("raw", NEVER_WRITTEN.values(), ids=NEVER_WRITTEN.keys())
def test_codes_that_forbid_writing(raw: dict[str, Any]) -> None:
    """Whatever differs; the reason is the playbook's."""
    plan = plan_of(raw, NOW)

    assert (plan.verdict.sync, plan.steps) == ("drifted", ())
    assert plan.verdict.reason


@pytest.mark.parametrize("raw", STILL_WRITTEN.values(), ids=STILL_WRITTEN.keys())
def test_codes_that_do_not_forbid_writing(raw: dict[str, Any]) -> None:
    """Drift is repaired beside them."""
    assert sent(plan_of(raw, NOW)) == [(UPDATE, ["full_name"])]


def test_a_refused_update_is_sent_again_though_seam_shows_the_new_value() -> None:
    """Only what we sent last, and only within the budget; then a person looks."""
    raw = with_error("failed_to_update_on_acs_system", full_name="Jane Doe", phone_number="+15555550100")
    desired = {**WANTED, "phone_number": "+15555550100"}
    writes = Writes({key("full_name", "Jane Doe"): 1}, {"full_name": "Jane Doe"})

    again = plan_of(raw, replace(NOW, desired=desired, writes=writes))
    spent = plan_of(raw, replace(NOW, desired=desired, writes=replace(writes, times={key("full_name", "Jane Doe"): 3})))

    assert sent(again) == [(UPDATE, ["full_name"])]
    assert spent.steps == ()
    assert set(spent.findings) == {"update_keeps_failing"}


def test_a_value_put_back_too_often_is_left_to_a_person() -> None:
    """Another writer: it had arrived, and was moved away again. Other fields go on."""
    now = replace(
        NOW, desired={**WANTED, "phone_number": "+15555550100"},
        writes=Writes({key("full_name", "Jane Doe"): 3}, WANTED, frozenset({"full_name"})),
    )  # fmt: skip

    plan = plan_of({**JACK, "phone_number": "+15555550222"}, now)

    assert sent(plan) == [(UPDATE, ["phone_number"])]
    assert plan.findings == {"another_writer": {"full_name": "Jane Doe"}}
    assert set(plan.held_back) == {"full_name"}


def test_an_open_finding_outlasts_the_window() -> None:
    """A person decides; time alone does not begin the fight anew. An order, or another value, does."""
    now = replace(NOW, given_up={key("full_name", "Jane Doe"): "another_writer"})

    assert plan_of(JACK, now).steps == ()
    assert sent(plan_of(JACK, replace(now, is_ordered=True))) == [(UPDATE, ["full_name"])]
    assert sent(plan_of(JACK, replace(now, desired={"full_name": "Janet"}))) == [(UPDATE, ["full_name"])]


def test_what_no_update_can_reach_is_told_and_not_tried() -> None:
    """An open end beside a good field: one is sent, the other is a finding, and no failure."""
    schedule = {"starts_at": "2026-11-01T10:00:00Z", "ends_at": None}
    now = replace(NOW, desired={**WANTED, "access_schedule": schedule, "email_address": ""})

    plan = plan_of({**JACK, "email_address": "jack@example.com"}, now)

    assert sent(plan) == [(UPDATE, ["full_name"])]
    assert set(plan.findings["cannot_be_set"]) == {"access_schedule", "email_address"}
    assert "desired_is_wrong" not in plan.findings


def test_an_open_end_that_is_there_already_is_in_sync() -> None:
    """It is compared, though it could not be set."""
    schedule = {"starts_at": "2026-11-01T10:00:00Z", "ends_at": None}
    raw = {**JACK, "access_schedule": {"starts_at": "2026-11-01T10:00:00.000000Z", "ends_at": None}}

    assert plan_of(raw, replace(NOW, desired={"access_schedule": schedule})).verdict.sync == "in_sync"


def test_a_wrong_value_is_named_by_field() -> None:
    """Seam would refuse it."""
    plan = plan_of(JACK, replace(NOW, desired={"phone_number": "12"}))

    assert plan.steps == ()
    assert set(plan.findings) == {"desired_is_wrong"}
    assert "phone_number must be in E.164" in (plan.verdict.reason or "")
