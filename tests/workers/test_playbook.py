"""Every line of the playbook, end to end: the code at Seam, an event, and what became of the person."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from rq.registry import ScheduledJobRegistry

from seamkeeper import clock, desired, issues
from simulator.records import Schedule
from simulator.serve import Running
from tests.workers.conftest import Floor
from tests.workers.test_reconcile import updates
from workers.playbook import PLAYBOOK

# The codes that one of the tests below names; a new line in the playbook needs one.
SHOWN = {
    "deleted_externally", "failed_to_delete_on_acs_system", "latch_conflict_with_resident_user", "latch_resident_user",
    "salto_ks_subscription_limit_exceeded", "failed_to_create_on_acs_system", "failed_to_update_on_acs_system",
    "being_deleted", "salto_ks_user_not_subscribed", "acs_user_inactive", "unknown_issue_with_acs_user",
}  # fmt: skip
DAY = timedelta(days=1)


def test_every_line_of_the_playbook_is_shown() -> None:
    """Eleven codes today (SEAM, acs_user): six errors, five warnings."""
    assert set(PLAYBOOK) == SHOWN


def drifted_with(floor: Floor, sim: Running, code: str, *, kind: str = "error", **fields: Any) -> str:
    """A user who should have another name, and has this code; an event has arrived."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", **fields)
    (sim.world.raise_error if kind == "error" else sim.world.raise_warning)(acs_user_id, code)
    floor.want(acs_user_id, full_name="Jane Doe")
    floor.happened("acs_user.created", acs_user_id)
    return acs_user_id


def codes_of(floor: Floor, acs_user_id: str) -> list[str]:
    """Open issues."""
    return [issue["code"] for issue in floor.user(acs_user_id)["issues"]]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("deleted_externally", "error"),
        ("failed_to_delete_on_acs_system", "error"),
        ("latch_conflict_with_resident_user", "error"),
        ("latch_resident_user", "warning"),
        ("salto_ks_subscription_limit_exceeded", "error"),
    ],
)
def test_a_code_that_no_update_can_mend(floor: Floor, sim: Running, code: str, kind: str) -> None:
    """Nothing is written, however often it is looked at; the drift and the reason are shown, and one issue is open."""
    acs_user_id = drifted_with(floor, sim, code, kind=kind)
    floor.happened("acs_user.created", acs_user_id)

    user = floor.user(acs_user_id)
    assert updates(sim) == []
    assert (user["sync"], user["health"], user["reason"]) == ("drifted", kind, PLAYBOOK[code].why)
    assert codes_of(floor, acs_user_id) == [code]
    assert floor.failed() == []


def test_salto_ks_subscription_limit_exceeded_is_tried_again_when_a_slot_may_be_free(
    floor: Floor, sim: Running
) -> None:
    """Somebody of the same access system goes: the one who waits longest is tried, and only that one."""
    system = sim.world.add_system("Salto House")
    leaver = sim.world.add_user(acs_system_id=system, full_name="Leaver")
    floor.happened("acs_user.created", leaver)
    code = "salto_ks_subscription_limit_exceeded"
    first, second = (drifted_with(floor, sim, code, acs_system_id=system) for _ in range(2))
    assert updates(sim) == []

    sim.world.delete_at_provider(leaver)
    floor.happened("acs_user.deleted", leaver)
    while_limited = updates(sim)
    sim.world.clear_issue(first)
    floor.happened("acs_user.created", first)

    assert {update["acs_user_id"] for update in while_limited} == {first}
    assert (floor.user(first)["sync"], codes_of(floor, first)) == ("in_sync", [])
    assert {update["acs_user_id"] for update in updates(sim)} == {first, second}


@pytest.mark.parametrize("who", ["unmanaged", "given up"])
def test_a_free_slot_is_offered_past_who_cannot_use_it(floor: Floor, sim: Running, who: str) -> None:
    """Nothing is desired of the one who waits longest, or nothing more is sent for them: the next one is tried."""
    system, code = sim.world.add_system("Salto House"), "salto_ks_subscription_limit_exceeded"
    first, second = (drifted_with(floor, sim, code, acs_system_id=system) for _ in range(2))
    with floor.engine.begin() as connection:
        if who == "unmanaged":
            desired.forget_desired(connection, first)
        else:
            about = {"acs_user_id": first, "acs_system_id": system}
            issues.raise_finding(connection, "update_keeps_failing", **about, message="x", detail={"fields": {}})
    leaver = sim.world.add_user(acs_system_id=system, full_name="Leaver")
    floor.happened("acs_user.created", leaver)

    sim.world.delete_at_provider(leaver)
    floor.happened("acs_user.deleted", leaver)

    assert {update["acs_user_id"] for update in updates(sim)} == {second}


def test_being_deleted_is_waited_for(floor: Floor, sim: Running) -> None:
    """Never an update; the user is read again until the deletion is through."""
    acs_user_id = drifted_with(floor, sim, "being_deleted", kind="warning")
    reads = len(sim.world.requests.list("/acs/users/get"))

    sim.world.delete_at_provider(acs_user_id)
    floor.happened("acs_user.deleted", acs_user_id)

    assert updates(sim) == []
    assert reads == 1 + len(floor.tools.settings.reread_delays)
    assert (floor.user(acs_user_id)["health"], codes_of(floor, acs_user_id)) == ("deleted", [])


def test_failed_to_create_on_acs_system_is_repaired_by_what_is_desired(floor: Floor, sim: Running) -> None:
    """The address was in use (Seam's advice: another one); the update of the drifted field is sent."""
    free = f"{uuid.uuid4()}@example.com"
    acs_user_id = sim.world.add_user(full_name="Jack Doe", email_address="taken@example.com")
    sim.world.raise_error(acs_user_id, "failed_to_create_on_acs_system")
    floor.want(acs_user_id, email_address=free)

    floor.happened("acs_user.created", acs_user_id)

    assert [update["email_address"] for update in updates(sim)] == [free]
    assert "failed_to_create_on_acs_system" in codes_of(floor, acs_user_id)


def test_failed_to_update_on_acs_system_is_sent_again(floor: Floor, sim: Running) -> None:
    """The provider refuses twice, then takes it: in sync, and the issue is over."""
    sim.world.settings.failures = 2
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")

    floor.happened("acs_user.created", acs_user_id)

    assert len(updates(sim)) == 3
    assert (floor.user(acs_user_id)["sync"], codes_of(floor, acs_user_id)) == ("in_sync", [])


def test_failed_to_update_on_acs_system_that_stays_is_left_to_a_person(floor: Floor, sim: Running) -> None:
    """Three times in the window, however many events come; then an issue of ours beside Seam's."""
    sim.world.settings.failures = 100
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")

    for _ in range(3):
        floor.happened("acs_user.created", acs_user_id)

    assert len(updates(sim)) == 3
    assert codes_of(floor, acs_user_id) == ["failed_to_update_on_acs_system", "update_keeps_failing"]


def test_failed_to_update_on_acs_system_where_seam_shows_the_new_value(floor: Floor, sim: Running) -> None:
    """Seam holds what is desired, the provider does not: what we sent last is sent again, and no other field."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550100")
    floor.want(acs_user_id, full_name="Jane Doe", phone_number="+15555550100")
    floor.happened("acs_user.created", acs_user_id)
    sim.world.raise_error(acs_user_id, "failed_to_update_on_acs_system")

    floor.happened("acs_user.created", acs_user_id)

    assert updates(sim) == [{"acs_user_id": acs_user_id, "full_name": "Jane Doe"}] * 3
    assert codes_of(floor, acs_user_id) == ["failed_to_update_on_acs_system", "update_keeps_failing"]
    sim.world.clear_issue(acs_user_id)
    floor.happened("acs_user.created", acs_user_id)
    assert (floor.user(acs_user_id)["sync"], codes_of(floor, acs_user_id)) == ("in_sync", [])


@pytest.mark.parametrize("code", ["salto_ks_user_not_subscribed", "acs_user_inactive"])
@pytest.mark.parametrize("begins_in", [-DAY, DAY], ids=["running", "to-come"])
def test_a_user_who_cannot_open_doors(floor: Floor, sim: Running, code: str, begins_in: timedelta) -> None:
    """Expected before the schedule starts, an issue while it runs; and at the start somebody looks."""
    starts_at = clock.now() + begins_in
    acs_user_id = sim.world.add_user(full_name="Jack", access_schedule=Schedule(starts_at, starts_at + 3 * DAY))
    sim.world.raise_warning(acs_user_id, code)
    floor.want(acs_user_id, full_name="Jack")

    floor.receive(_created(acs_user_id))
    floor.work(include_later=False)

    looks = ScheduledJobRegistry("reconcile", connection=floor.redis)
    if begins_in < timedelta():
        assert (floor.user(acs_user_id)["health"], codes_of(floor, acs_user_id)) == ("warning", [code])
        assert looks.get_job_ids() == []
    else:
        assert (floor.user(acs_user_id)["health"], codes_of(floor, acs_user_id)) == ("ok", [])
        [look] = looks.get_job_ids()
        assert abs(looks.get_scheduled_time(look) - starts_at) < timedelta(minutes=1)


@pytest.mark.parametrize("code", ["salto_ks_user_not_subscribed", "acs_user_inactive"])
def test_who_is_suspended_cannot_open_doors_and_shall_not(floor: Floor, sim: Running, code: str) -> None:
    """No issue for what somebody wanted."""
    acs_user_id = sim.world.add_user(full_name="Jack", is_suspended=True)
    sim.world.raise_warning(acs_user_id, code)

    floor.happened("acs_user.created", acs_user_id)

    assert codes_of(floor, acs_user_id) == []


def test_unknown_issue_with_acs_user_is_looked_at_again(floor: Floor, sim: Running) -> None:
    """It may pass; drift is repaired beside it."""
    acs_user_id = drifted_with(floor, sim, "unknown_issue_with_acs_user", kind="warning")

    assert len(updates(sim)) == 1
    assert len(sim.world.requests.list("/acs/users/get")) == 1 + len(floor.tools.settings.reread_delays)
    assert codes_of(floor, acs_user_id) == ["unknown_issue_with_acs_user"]


def test_a_code_of_tomorrow_is_kept_and_shown(floor: Floor, sim: Running) -> None:
    """New codes come without notice; drift is repaired beside them."""
    acs_user_id = drifted_with(floor, sim, "code_of_tomorrow")

    assert len(updates(sim)) == 1
    assert codes_of(floor, acs_user_id) == ["code_of_tomorrow"]


def _created(acs_user_id: str) -> dict[str, Any]:
    from tests.signing import event

    return event("acs_user.created", acs_user_id=acs_user_id)
