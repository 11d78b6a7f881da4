"""Access systems and accounts going and coming back, credentials, and the resyncs they lead to."""

from __future__ import annotations

import uuid
from datetime import timedelta

from seamkeeper import clock, orders
from seamkeeper.desired import forget_desired
from seamkeeper.queues import RESYNC_SYSTEM
from simulator.serve import Running
from tests.signing import event
from tests.workers.conftest import Floor
from tests.workers.recreating import set_policy


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


def _resync(floor: Floor, acs_system_id: str) -> None:
    floor.tools.queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why="a test")
    floor.work(include_later=False)


def _codes(floor: Floor, acs_user_id: str) -> list[str]:
    return [issue["code"] for issue in floor.user(acs_user_id)["issues"]]


def test_a_resync_sees_that_nothing_is_desired_any_more(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """An application deletes the row and asks for no look: the user is `unknown`, and the findings are over."""
    acs_user_id = sim.world.add_user(acs_system_id=acs_system_id, phone_number="+15555550100")
    floor.want(acs_user_id, phone_number="")
    floor.happened("acs_user.created", acs_user_id)
    before = _codes(floor, acs_user_id)
    with floor.engine.begin() as connection:
        forget_desired(connection, acs_user_id)

    _resync(floor, acs_system_id)

    assert (before, _codes(floor, acs_user_id), floor.user(acs_user_id)["sync"]) == (["cannot_be_set"], [], "unknown")


def test_a_resync_sees_that_somebody_who_is_gone_is_not_desired_any_more(
    floor: Floor, sim: Running, acs_system_id: str
) -> None:
    """The same of one whom a person was asked about; nobody is looked at again and again."""
    set_policy(floor, "system", acs_system_id, recreate="ask")
    acs_user_id = sim.world.add_user(acs_system_id=acs_system_id, full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)
    sim.world.delete_at_provider(acs_user_id)
    floor.happened("acs_user.deleted", acs_user_id)
    before = _codes(floor, acs_user_id)
    sim.world.requests.clear()
    _resync(floor, acs_system_id)
    while_desired = len(sim.world.requests.list("/acs/users/get"))
    with floor.engine.begin() as connection:
        forget_desired(connection, acs_user_id)

    _resync(floor, acs_system_id)
    _resync(floor, acs_system_id)

    assert (before, _codes(floor, acs_user_id)) == (["recreate_wanted"], [])
    assert (while_desired, len(sim.world.requests.list("/acs/users/get"))) == (0, 1)


def test_a_resync_does_what_a_plan_only_showed(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """A dry look saw the refusal first: the values are sent again all the same, though nothing changed since."""
    acs_user_id = sim.world.add_user(acs_system_id=acs_system_id, full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)
    sim.world.raise_error(acs_user_id, "failed_to_update_on_acs_system")
    floor.tools.queues.ask_reconcile(acs_user_id, why="a plan", source="operator", mode=orders.DRY)
    floor.work()
    while_planned = len(sim.world.requests.list("/acs/users/update"))

    _resync(floor, acs_system_id)

    assert (while_planned, len(sim.world.requests.list("/acs/users/update"))) == (0, 1)


def test_a_resync_makes_anew_whom_a_plan_saw_first(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """The same of somebody who was deleted at the provider, and of a policy that came later."""
    acs_user_id = sim.world.add_user(acs_system_id=acs_system_id, full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)
    set_policy(floor, "system", acs_system_id, recreate="ask")
    sim.world.delete_externally(acs_user_id)
    floor.tools.queues.ask_reconcile(acs_user_id, why="a plan", source="operator", mode=orders.DRY)
    floor.work()
    while_planned = _codes(floor, acs_user_id)

    _resync(floor, acs_system_id)

    assert while_planned == ["deleted_externally"]
    assert _codes(floor, acs_user_id) == ["deleted_externally", "recreate_wanted"]
