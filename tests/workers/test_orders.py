"""Looks in a mode: a dry one writes nothing, an ordered one exactly what was ordered; neither stands for another."""

from __future__ import annotations

from datetime import timedelta

import pytest

from seamkeeper import clock, database, history, orders, policies
from simulator.serve import Running
from tests.workers.conftest import Floor

UPDATE = "/acs/users/update"
WANTED = {"full_name": {"observed": "Jack Doe", "desired": "Jane Doe"}}


@pytest.fixture
def jack(floor: Floor, sim: Running) -> str:
    """Somebody whose name is not as it shall be."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    return acs_user_id


def look(floor: Floor, acs_user_id: str, mode: str) -> None:
    """A look in this mode, and all that follows from it."""
    floor.tools.queues.ask_reconcile(acs_user_id, why="apply by Mina", source="operator", mode=mode)
    floor.work()


def policy(floor: Floor, acs_user_id: str, repair: str | None = None, *, paused: timedelta | None = None) -> None:
    """What is said about the user."""
    until = clock.now() + paused if paused else None
    with floor.engine.begin() as connection:
        policies.set_policy(connection, "user", acs_user_id, by="a test", repair=repair, paused_until=until)


def test_a_dry_look_writes_nothing(floor: Floor, sim: Running, jack: str) -> None:
    """The mirror is fresh and says what would be done; no look follows."""
    look(floor, jack, orders.DRY)

    user = floor.user(jack)
    assert (user["sync"], user["drift"]) == ("drifted", WANTED)
    assert user["reason"] == "a plan was asked for: shown, not written"
    assert sim.world.requests.list(UPDATE) == []
    assert not floor.pull_forward()


def test_a_dry_look_at_somebody_who_is_gone_marks_nobody(floor: Floor, sim: Running, jack: str) -> None:
    """What follows from a deletion is for a look that may write."""
    look(floor, jack, orders.DRY)
    sim.world.delete_at_provider(jack)

    look(floor, jack, orders.DRY)

    assert floor.user(jack)["deleted_at"] is None


@pytest.mark.parametrize("order", [orders.ordered(WANTED), orders.ordered()], ids=["as-planned", "whatever-differs"])
def test_an_order_overrules_plan(floor: Floor, sim: Running, jack: str, order: str) -> None:
    """A person saw it and wants it; the audit says who."""
    policy(floor, jack, "plan")

    look(floor, jack, order)

    assert floor.user(jack)["sync"] == "in_sync"
    with database.reading(floor.engine) as connection:
        [line] = [line for line in history.history(connection, jack) if line["what"] == UPDATE]
    assert (line["source"], line["detail"]["outcome"]) == ("apply by Mina", "ok")


@pytest.mark.parametrize("held", ["off", "paused"])
def test_an_order_overrules_neither_off_nor_a_pause(floor: Floor, sim: Running, jack: str, held: str) -> None:
    """Those were said on purpose."""
    policy(floor, jack, *(["off"] if held == "off" else []), paused=timedelta(hours=1) if held == "paused" else None)

    look(floor, jack, orders.ordered(WANTED))

    assert sim.world.requests.list(UPDATE) == []


def test_an_order_for_what_has_moved_is_not_carried_out(floor: Floor, sim: Running, jack: str) -> None:
    """Neither what was planned nor what is there now: the person looks again."""
    policy(floor, jack, "plan")
    sim.world.edit_at_provider(jack, full_name="Jim Doe")

    look(floor, jack, orders.ordered(WANTED))

    user = floor.user(jack)
    assert (user["sync"], user["reason"]) == ("drifted", orders.MOVED)
    assert sim.world.requests.list(UPDATE) == []


def test_an_order_overrules_the_budget(floor: Floor, sim: Running, jack: str) -> None:
    """And the finding is over: a person decided."""
    look(floor, jack, orders.ORDINARY)
    for _ in range(4):
        sim.world.edit_at_provider(jack, full_name="Jack Doe")
        look(floor, jack, orders.ORDINARY)
    assert [issue["code"] for issue in floor.user(jack)["issues"]] == ["another_writer"]

    look(floor, jack, orders.DRY)
    assert [issue["code"] for issue in floor.user(jack)["issues"]] == ["another_writer"]
    look(floor, jack, orders.ordered(WANTED))

    assert (floor.user(jack)["sync"], floor.user(jack)["issues"]) == ("in_sync", [])


@pytest.mark.parametrize("mode", [orders.DRY, orders.ordered(WANTED)], ids=["dry", "ordered"])
def test_asks_of_different_modes_do_not_stand_for_one_another(floor: Floor, jack: str, mode: str) -> None:
    """Each waits for itself, in either order; the same twice is one."""
    queues = floor.tools.queues
    asks = [orders.ORDINARY, mode, orders.ORDINARY, mode]

    jobs = [queues.ask_reconcile(jack, why="a test", source="operator", mode=each) for each in asks]

    assert jobs[:2] == jobs[2:]
    assert jobs[0] != jobs[1]
    assert queues.still_asked({jack: mode}) == {jack}
    queues.take_back(jack, mode)
    assert queues.still_asked({jack: mode}) == set()
    assert queues.still_asked({jack: orders.ORDINARY}) == {jack}


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_a_dry_look_takes_nobodys_repair_away(floor: Floor, sim: Running, jack: str, is_first: bool) -> None:
    """The ordinary look that waits beside it repairs."""
    queues = floor.tools.queues
    for mode in [orders.DRY, orders.ORDINARY][:: 1 if is_first else -1]:
        queues.ask_reconcile(jack, why="a test", source="operator", mode=mode)

    floor.work()

    assert floor.user(jack)["sync"] in ("in_sync", "drifted")
    assert len(sim.world.requests.list(UPDATE)) == 1


def test_a_dry_look_during_a_turn_comes_after_it(floor: Floor, sim: Running, jack: str) -> None:
    """And stays dry."""
    queues = floor.tools.queues
    token = queues.take_turn(jack, job_id="another", lasts=timedelta(minutes=1))
    queues.ask_reconcile(jack, why="a test", source="operator", mode=orders.DRY)
    floor.work(include_later=False)
    assert queues.still_asked({jack: orders.DRY}) == {jack}

    assert token is not None
    queues.give_turn_back(jack, token)
    floor.work(include_later=False)

    assert queues.still_asked({jack: orders.DRY}) == set()
    assert floor.user(jack)["drift"] == WANTED
    assert sim.world.requests.list(UPDATE) == []


@pytest.mark.parametrize("mode", [orders.DRY, orders.ordered(WANTED)], ids=["dry", "ordered"])
def test_a_failure_is_tried_again_in_the_same_mode(floor: Floor, sim: Running, jack: str, mode: str) -> None:
    """A dry look that Seam refused for now must not come back as one that writes."""
    policy(floor, jack, "plan" if mode != orders.DRY else "apply")
    sim.world.faults.add("status", status=503, path="/acs/users/get", times=1)

    look(floor, jack, mode)

    assert len(sim.world.requests.list(UPDATE)) == (0 if mode == orders.DRY else 1)
    assert floor.user(jack)["drift"] == (WANTED if mode == orders.DRY else {})
    assert floor.failed() == []
