"""Access systems and accounts going and coming back, credentials, and the resyncs they lead to."""

from __future__ import annotations

import uuid
from datetime import timedelta

from seamkeeper import clock
from simulator.serve import Running
from tests.signing import event
from tests.workers.conftest import Floor


def test_a_credential_leads_to_its_holder(floor: Floor, sim: Running) -> None:
    """Its event names no user; Seam knows."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jack Doe")
    sim.world.edit_at_provider(acs_user_id, full_name="Edited behind our back")
    acs_credential_id = sim.world.issue_credential(acs_user_id)

    floor.receive(event("acs_credential.issued", acs_credential_id=acs_credential_id))
    floor.work()

    assert floor.user(acs_user_id)["observed"]["full_name"] == "Jack Doe"


def test_a_disconnected_system_suspends_repairs_of_its_users_until_it_is_back(floor: Floor, sim: Running) -> None:
    """And its return finds what happened meanwhile, without an event about the user."""
    system = sim.world.add_system("Other House")
    acs_user_id = sim.world.add_user(acs_system_id=system, full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id, acs_system_id=system)
    floor.want(acs_user_id, full_name="Jane Doe")
    lists = {
        name: []
        for name in (
            "acs_system_errors",
            "acs_system_warnings",
            "connected_account_errors",
            "connected_account_warnings",
        )
    }

    floor.receive(event("acs_system.disconnected", acs_system_id=system, **lists))
    floor.happened("acs_user.created", acs_user_id, acs_system_id=system)
    suspended = floor.user(acs_user_id)
    floor.receive(event("acs_system.connected", acs_system_id=system))
    floor.work()

    assert "disconnected" in suspended["reason"]
    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_a_disconnection_that_arrives_late_does_not_suspend(floor: Floor, sim: Running) -> None:
    """What happened last counts, not what arrived last."""
    system = sim.world.add_system("Third House")
    acs_user_id = sim.world.add_user(acs_system_id=system, full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    before = clock.iso(clock.now() - timedelta(minutes=1))

    floor.receive(event("acs_system.connected", acs_system_id=system))
    floor.work()
    floor.receive(event("acs_system.disconnected", acs_system_id=system, occurred_at=before))
    floor.happened("acs_user.created", acs_user_id, acs_system_id=system)

    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_an_account_that_comes_back_resyncs_all_its_systems(floor: Floor, sim: Running) -> None:
    """`connected_account.*` names no access system; Seam lists them."""
    system = sim.world.add_system("Fourth House")
    account = sim.world.systems[system].connected_account_id
    people = {sim.world.add_user(acs_system_id=system) for _ in range(3)}

    floor.receive(event("connected_account.completed_first_sync", connected_account_id=account))
    floor.work()

    assert all(floor.user(person)["health"] == "ok" for person in people)


def test_a_resync_finds_who_is_gone_and_asks_before_it_buries(floor: Floor, sim: Running) -> None:
    """One user deleted without an event: the complete list lacks them, and a GET says 404."""
    system = sim.world.add_system("Fifth House")
    people = [sim.world.add_user(acs_system_id=system) for _ in range(3)]
    floor.receive(event("acs_system.added", acs_system_id=system))
    floor.work()
    del sim.world.users[people[0]]

    floor.receive(event("acs_access_group.deleted", acs_system_id=system))
    floor.work()

    assert [floor.user(person)["health"] for person in people] == ["deleted", "ok", "ok"]


def test_an_empty_list_buries_nobody(floor: Floor, sim: Running) -> None:
    """More than a few at once are a fault of the list until shown otherwise."""
    system = sim.world.add_system("Sixth House")
    people = [sim.world.add_user(acs_system_id=system) for _ in range(12)]
    floor.receive(event("acs_system.added", acs_system_id=system))
    floor.work()
    for person in people:
        del sim.world.users[person]

    floor.receive(event("acs_access_group.deleted", acs_system_id=system))
    floor.work()

    assert {floor.user(person)["health"] for person in people} == {"ok"}


def test_a_credential_that_seam_does_not_know_yet_leads_through_its_system(floor: Floor, sim: Running) -> None:
    """The event can be ahead of the API, as with users: its holder must not stay unread for that."""
    system = sim.world.add_system("Seventh House")
    acs_user_id = sim.world.add_user(acs_system_id=system)

    floor.receive(event("acs_credential.issued", acs_credential_id=str(uuid.uuid4()), acs_system_id=system))
    floor.work()

    assert floor.user(acs_user_id)["health"] == "ok"
