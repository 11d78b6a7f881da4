"""What failed for good: why, on which field, how often, since when, in which request; and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, select

from seamkeeper import attempts, database, dead, orders, replays, resyncs
from seamkeeper.database import dead_letters
from seamkeeper.errors import Permanent
from seamkeeper.queues import BACKFILL
from seamkeeper.replays import Chosen
from seamkeeper.requeue import Requeue
from seamkeeper.schedules import Schedules
from simulator.serve import Running
from tests.signing import event
from tests.workers.concurrent.conftest import a_worker
from tests.workers.conftest import Floor
from workers import letters
from workers.concurrent import sweep
from workers.concurrent.claim import claim_call, runs
from workers.concurrent.scripts import travel

REFUSAL = {
    "error": {
        "type": "invalid_input", "message": "Invalid phone number", "request_id": "r1",
        "validation_errors": {"_errors": [], "phone_number": {"_errors": ["is not a number"]}},
    }
}  # fmt: skip


def open_letters(engine: Engine) -> list[dict[str, Any]]:
    """`dead list`."""
    with database.reading(engine) as connection:
        return dead.list_open(connection)


def ended_by(engine: Engine) -> list[str | None]:
    """How each ended, oldest first."""
    with database.reading(engine) as connection:
        return list(connection.execute(select(dead_letters.c.ended_by).order_by(dead_letters.c.dead_id)).scalars())


def keeping(floor: Floor) -> Callable[[Any, str], None]:
    """What our worker processes are given."""
    return lambda job, reason: letters.set_aside(lambda: floor.tools, job, reason)


def refuse(sim: Running, **how: Any) -> None:
    """Seam refuses to give any user."""
    sim.world.faults.add("json", path="/acs/users/get", status=400, body=REFUSAL, **how)


def test_a_refused_user_is_a_letter_with_cause_field_and_request(floor: Floor, sim: Running) -> None:
    """The same on the attempt's line; the event itself was handled."""
    acs_user_id = sim.world.add_user()
    refuse(sim)

    shown = floor.happened("acs_user.created", acs_user_id)

    [letter] = open_letters(floor.engine)
    assert (letter["kind"], letter["subject_id"], letter["job"]) == ("user", acs_user_id, "reconcile_user")
    assert (letter["cause"], letter["field"]) == ("seam:400:invalid_input", "phone_number")
    assert letter["seam_request_id"]
    assert "Invalid phone number" in letter["reason"]
    assert (letter["tries"], shown["status"]) == (1, "done")
    with database.reading(floor.engine) as connection:
        attempt = attempts.of(connection, acs_user_id=acs_user_id)[-1]
    assert (attempt["outcome"], attempt["cause"]) == ("dead", letter["cause"])
    assert attempt["seam_request_id"] == letter["seam_request_id"]


def test_tries_are_those_since_the_last_success(floor: Floor, sim: Running) -> None:
    """With the time of the first of them; all tries have their cause."""
    acs_user_id = sim.world.add_user()
    floor.happened("acs_user.created", acs_user_id)
    sim.world.faults.add("status", path="/acs/users/get", status=503)

    floor.happened("acs_user.created", acs_user_id)

    [letter] = open_letters(floor.engine)
    with database.reading(floor.engine) as connection:
        tries = [each for each in attempts.of(connection, acs_user_id=acs_user_id) if each["outcome"] != "ok"]
    assert (letter["cause"], letter["tries"]) == ("seam:5xx", 4)
    assert {each["cause"] for each in tries} == {"seam:5xx"}
    assert letter["first_at"] == tries[0]["started_at"] < letter["died_at"]


def test_the_next_success_ends_it_and_a_second_death_is_the_same_letter(floor: Floor, sim: Running) -> None:
    """One open line per user."""
    acs_user_id = sim.world.add_user()
    refuse(sim, times=2)
    floor.happened("acs_user.created", acs_user_id)
    floor.happened("acs_user.created", acs_user_id)
    before = open_letters(floor.engine)

    floor.happened("acs_user.created", acs_user_id)

    assert [letter["tries"] for letter in before] == [2]
    assert open_letters(floor.engine) == []
    assert ended_by(floor.engine) == ["success"]


def test_an_event_that_is_dead(floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row tells the cause; handled at last, its letter is over and the cause gone."""

    def refuses(*_: Any) -> None:
        raise Permanent("no", cause="desired_is_wrong", field="full_name")

    acs_user_id = sim.world.add_user()
    table: Any = floor.tools.table
    with monkeypatch.context() as patched:
        patched.setitem(table, "acs_user.created", (refuses,))
        died = floor.happened("acs_user.created", acs_user_id)
    [letter] = open_letters(floor.engine)
    floor.receive(event("acs_user.created", acs_user_id=acs_user_id, event_id=died["event_id"]))
    floor.work()

    assert (died["status"], died["cause"]) == ("dead", "desired_is_wrong")
    assert (letter["kind"], letter["subject_id"], letter["acs_user_id"]) == ("event", died["event_id"], acs_user_id)
    assert (letter["event_type"], letter["field"]) == ("acs_user.created", "full_name")
    assert (floor.event(died["event_id"])["status"], floor.event(died["event_id"])["cause"]) == ("done", None)
    assert ended_by(floor.engine) == ["success"]


@pytest.mark.parametrize("what", ["event", "user"])
def test_a_job_that_three_workers_died_of(floor: Floor, redis: Redis, what: str) -> None:
    """No try of ours could tell: the letter says so, the event is dead, and no try stays `running`."""
    event_id = ""
    if what == "event":
        event_id = floor.receive(event("acs_user.created", acs_user_id="u1"))
    else:
        floor.tools.queues.ask_reconcile("u1", why="a test", source="test")
    queues = ["events", "reconcile"]
    for _ in range(3):
        floor.pull_forward()
        worker = a_worker(redis, queues, name="dead", set_aside=keeping(floor))
        [answer] = travel(redis, [claim_call(worker, 1, lives=30)])
        for run in runs(worker, answer):
            redis.zadd(run.registry, {run.entry: 100})
        redis.delete("rq:seamkeeper:sweep")
        sweep.sweep(worker, period=1)

    [letter] = open_letters(floor.engine)
    assert (letter["kind"], letter["cause"]) == (what, "worker_died")
    assert letter["subject_id"] == (event_id or "u1")
    assert "3 workers ended while they ran it" in letter["reason"]
    if event_id:
        assert (floor.event(event_id)["status"], floor.event(event_id)["cause"]) == ("dead", "worker_died")


def test_a_job_that_rq_cannot_read(floor: Floor, redis: Redis) -> None:
    """A letter of the job itself."""
    floor.receive(event("acs_user.created", acs_user_id="u1", event_id="e1"))
    redis.hset("rq:job:e1", mapping={"data": b"not a job", "retries_left": "0"})

    worker = a_worker(redis, ["events"], set_aside=keeping(floor))
    worker.work(burst=True, logging_level="CRITICAL")

    [letter] = open_letters(floor.engine)
    assert (letter["kind"], letter["subject_id"], letter["cause"]) == ("job", "e1", "unreadable_job")


def test_our_own_worker_writes_one_letter_for_what_its_try_told(floor: Floor, redis: Redis, sim: Running) -> None:
    """Who sets the job aside finds the letter of the try and leaves it as it is."""
    acs_user_id = sim.world.add_user()
    refuse(sim)
    floor.tools.queues.ask_reconcile(acs_user_id, why="a test", source="test")

    worker = a_worker(redis, ["reconcile"], set_aside=keeping(floor))
    worker.work(burst=True, logging_level="CRITICAL")

    [letter] = open_letters(floor.engine)
    assert (letter["cause"], letter["tries"]) == ("seam:400:invalid_input", 1)
    assert len(floor.failed()) == 1


def test_a_look_for_a_plan_leaves_no_letter(floor: Floor, redis: Redis, sim: Running) -> None:
    """Who asked for the plan waits for its answer; nobody has to try again."""
    acs_user_id = sim.world.add_user()
    refuse(sim)
    floor.tools.queues.ask_reconcile(acs_user_id, why="a test", source="operator", mode=orders.DRY)

    a_worker(redis, ["reconcile"], set_aside=keeping(floor)).work(burst=True, logging_level="CRITICAL")

    assert len(floor.failed()) == 1
    assert open_letters(floor.engine) == []


def test_causes_are_grouped_and_a_person_may_discard_them(engine: Engine) -> None:
    """By cause and field, most first, with whether a replay can help; who discarded them is kept."""
    with engine.begin() as connection:
        for number, cause, field in ((1, "seam:5xx", None), (2, "seam:400:x", "a"), (3, "seam:400:x", "a")):
            subject = dead.Subject("event", f"e{number}", "handle_event", "a.b", f"u{number % 2}")
            dead.write(connection, subject, dead.Failure("why", cause, field), tries=number)
        groups = dead.groups(connection)
        gone = dead.discard(connection, by="Mina", reason="old", cause="seam:400:x")
        left = dead.list_open(connection)

    assert [(each["cause"], each["field"], each["number"], each["events"], each["users"]) for each in groups] == [
        ("seam:400:x", "a", 2, 2, 2), ("seam:5xx", None, 1, 1, 1),
    ]  # fmt: skip
    assert "each time" in groups[0]["can_help"]
    assert (gone, [each["subject_id"] for each in left]) == (2, ["e1"])
    assert ended_by(engine).count("discarded by Mina: old") == 2


def test_what_comes_again_by_itself_has_one_letter_until_it_goes_well(
    floor: Floor, sim: Running, acs_system_id: str
) -> None:
    """Jobs of the clock and resyncs have a new job each time: the next good one ends the letter, and no replay brings
    the old ones back."""

    def come() -> None:
        schedules.plan("backfill", BACKFILL, "events", every=timedelta(minutes=10))
        schedules.hurry("backfill")
        resyncs.ask(floor.tools.queues, acs_system_id, why="a test")
        floor.work()

    schedules = Schedules(floor.tools.queues)
    sim.world.faults.add("status", path="/events/list", status=503)
    sim.world.faults.add("status", path="/acs/users/list", status=503)
    come()
    come()
    dead_by_now = sorted(letter["job"] for letter in open_letters(floor.engine))
    with database.reading(floor.engine) as connection:
        planned = replays.plan(connection, Requeue(floor.tools.queues), Chosen(status="dead"))
    sim.world.faults.clear()

    floor.redis.delete(floor.tools.queues.keys.circuit(acs_system_id))
    come()

    assert dead_by_now == ["backfill", "resync_system"]
    assert (planned.matched, planned.eligible) == (2, 0)
    assert open_letters(floor.engine) == []
