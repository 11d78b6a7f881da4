"""The answer to a create was lost: the new user is found again, made once more, or left to a person."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from seamkeeper import clock, database
from seamkeeper.database import actions
from seamkeeper.database import recreations as rows
from simulator.serve import Running
from tests.stack import eventually
from tests.workers.conftest import Floor
from tests.workers.recreating import (
    CREATE,
    RECREATE,
    codes,
    creates,
    gone,
    known,
    living,
    look,
    make_now,
    set_policy,
    states,
    time_passes,
)  # fmt: skip
from workers import recreate
from workers.reconcile import Ask
from workers.resync import resync_system


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Whoever is gone is made anew."""
    return environ | RECREATE


LOST = [
    {"kind": "status", "status": 500},
    {"kind": "html", "status": 502},
    {"kind": "html", "status": 200},
    {"kind": "bare_ok"},
    {"kind": "drop"},
    {"kind": "status", "status": 429},
    {"kind": "slow", "seconds": 7},  # longer than the time-out
]


CASES = [(fault, True) for fault in LOST] + [(fault, False) for fault in (LOST[0], LOST[4])]


@pytest.mark.parametrize(("fault", "is_late"), CASES)
def test_a_lost_answer_makes_exactly_one(
    floor: Floor, sim: Running, acs_system_id: str, fault: dict[str, Any], is_late: bool
) -> None:
    """Found and adopted when Seam made the user (`is_late`); asked for again, after a while, when it did not."""
    old = gone(floor, sim, acs_system_id, email_address="jack@example.com")
    sim.world.faults.add(path=CREATE, times=1, is_late=is_late, **fault)

    make_now(floor)
    at_first = states(floor, old)
    eventually(lambda: creates(sim), what="the end of the call at Seam")  # a slow one outlives its time-out
    for _ in range(3):
        time_passes(floor)

    assert at_first == ["intended"]
    assert states(floor, old) == ["adopted" if is_late else "created"]
    assert len(creates(sim)) == (1 if is_late else 2)
    [new] = living(sim, acs_system_id, "Jack Doe")
    assert (floor.user(old)["replaced_by"], floor.user(new)["desired"]) == (new, {"full_name": "Jack Doe"})
    with database.reading(floor.engine) as connection:
        outcomes = connection.execute(select(actions.c.outcome).where(actions.c.endpoint == CREATE)).scalars().all()
    assert outcomes == (["unknown"] if is_late else ["unknown", "ok"])


def test_it_is_not_asked_for_again_before_the_call_must_be_over(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """A call lives as long as its job: until then looking is all that is done."""
    old = gone(floor, sim, acs_system_id)
    sim.world.faults.add("drop", path=CREATE, times=1)
    time_passes(floor)

    for _ in range(5):  # the time that this takes passes, too
        time_passes(floor, timedelta(seconds=5))

    assert (len(creates(sim)), states(floor, old)) == (1, ["intended"])
    time_passes(floor, timedelta(seconds=60))
    assert (len(creates(sim)), states(floor, old)) == (2, ["created"])


def test_several_who_may_be_the_new_one_are_a_persons(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """The answer was lost, and somebody else made one of the same name meanwhile."""
    old = gone(floor, sim, acs_system_id, email_address=None)
    sim.world.faults.add("drop", path=CREATE, times=1, is_late=True)
    make_now(floor)
    sim.world.add_user(acs_system_id=acs_system_id, full_name="Jack Doe", email_address=None)
    time_passes(floor)

    assert (states(floor, old), codes(floor, old)) == (["unclear"], ["recreate_unclear"])
    assert (len(creates(sim)), floor.user(old)["replaced_by"]) == (1, None)


def test_who_is_managed_already_is_not_adopted(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Somebody began to manage the new user while its answer was lost: neither taken nor made again."""
    old = gone(floor, sim, acs_system_id)
    sim.world.faults.add("drop", path=CREATE, times=1, is_late=True)
    make_now(floor)
    [new] = living(sim, acs_system_id, "Jack Doe")
    floor.want(new, full_name="Jack Doe")
    time_passes(floor)

    assert (states(floor, old), codes(floor, old), len(creates(sim))) == (["unclear"], ["recreate_unclear"], 1)


def test_a_managed_namesake_is_another_person(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Also when the answer is lost: who was there before the intent is never the new one."""
    namesake = known(floor, sim, acs_system_id, email_address="first@example.com")
    old = gone(floor, sim, acs_system_id, email_address=None)
    sim.world.faults.add("drop", path=CREATE, times=1)
    for _ in range(4):
        time_passes(floor)

    assert states(floor, old) == ["created"]
    assert floor.user(old)["replaced_by"] not in (None, namesake)
    assert len(living(sim, acs_system_id, "Jack Doe")) == 2


def test_two_of_one_name_whose_answers_were_lost_get_one_each(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Nobody can tell them apart; both are made, and each is one's."""
    olds = [known(floor, sim, acs_system_id, email_address=None) for _ in range(2)]
    for old in olds:
        sim.world.delete_at_provider(old)
        look(floor, old)
    sim.world.faults.add("drop", path=CREATE, times=2, is_late=True)
    for _ in range(4):
        time_passes(floor)

    found = [floor.user(old)["replaced_by"] for old in olds]
    made = living(sim, acs_system_id, "Jack Doe")
    unclear = [old for old in olds if codes(floor, old)]
    assert len(made) <= 2
    assert len({name for name in found if name}) == len([name for name in found if name])
    assert len([name for name in found if name]) + len(unclear) == 2


def test_workers_who_lost_their_turn_still_make_one(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """The turn is Redis's and may be lost with it; the row's lock and the intent are the database's."""
    old = gone(floor, sim, acs_system_id)
    sim.world.faults.add("slow", seconds=0.3, path=CREATE)
    with floor.engine.begin() as connection:
        connection.execute(update(rows).values(asked_at=clock.now() - timedelta(hours=1)))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: recreate.in_place_of(floor.tools, Ask(old, "a test", "resync")), range(6)))

    assert (len(creates(sim)), len(living(sim, acs_system_id, "Jack Doe"))) == (1, 1)
    assert states(floor, old) in (["created"], ["adopted"])


def test_an_intent_that_nobody_asks_about_is_found_by_a_resync(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Redis was lost, and with it every later look."""
    old = gone(floor, sim, acs_system_id)
    sim.world.faults.add("drop", path=CREATE, times=1, is_late=True)
    make_now(floor)
    floor.redis.flushall()

    resync_system(floor.tools, acs_system_id, why="a test")
    floor.work(include_later=False)

    assert states(floor, old) == ["adopted"]


@pytest.mark.parametrize(("is_persons", "number"), [(False, 1), (True, 2)])
def test_a_policy_against_it_ends_the_waiting(
    floor: Floor, sim: Running, acs_system_id: str, is_persons: bool, number: int
) -> None:
    """`never` was said while an answer was lost: nobody is asked for again, unless a person had said yes."""
    old = gone(floor, sim, acs_system_id)
    sim.world.faults.add("drop", path=CREATE, times=1)
    make_now(floor)
    if is_persons:
        with floor.engine.begin() as connection:
            connection.execute(update(rows).values(asked_by="a person"))
    set_policy(floor, "system", acs_system_id, recreate="never")

    for _ in range(3):
        time_passes(floor)

    assert (len(creates(sim)), states(floor, old)) == (number, ["created" if is_persons else "dropped"])
