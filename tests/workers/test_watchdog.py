"""A Redis that forgot: noticed while everything runs on, and looked after until nothing is lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis

from seamkeeper import checkpoints, clock, database, notices, replays, spans
from seamkeeper.keys import Keys
from seamkeeper.replays import Chosen
from seamkeeper.requeue import Requeue
from seamkeeper.schedules import Schedules
from simulator.serve import Running, running
from simulator.world import World
from tests.signing import event
from tests.workers.conftest import Floor
from workers.schedules import plan_all
from workers.watchdog import Watchdog

KEYS = Keys()


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own."""
    with running(World(users=1, seed=4)) as simulator:
        simulator.world.settings.pending_seconds = 0  # the later looks come at once here, and are only five
        yield simulator


@pytest.fixture
def watchdog(floor: Floor) -> Watchdog:
    """Of a scheduler that acts, after its first look."""
    watchdog = Watchdog(floor.tools)
    watchdog.look()
    return watchdog


def state(floor: Floor) -> dict[str, Any]:
    """The checkpoint."""
    with database.reading(floor.engine) as connection:
        return dict(checkpoints.read(connection, "epoch") or {})


def asked(redis: Redis) -> list[str]:
    """What the clock's hash plans now."""
    return sorted(name.decode().partition(".")[0] for name in redis.hkeys(KEYS.clock()) if name.endswith(b".job"))


def test_the_first_start_is_no_loss(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """There is nothing to be recovered, and looking again changes nothing."""
    watchdog.look()

    assert state(floor)["recovering"] is None
    assert asked(redis) == []
    assert floor.findings() == []


def test_an_emptied_redis_is_noticed_and_said(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """Without a restart: a recovery is planned, and there is one issue."""
    redis.flushall()

    watchdog.look()
    watchdog.look()

    assert state(floor)["recovering"] == "emptied"
    assert asked(redis) == ["recover"]
    assert floor.findings() == ["redis_forgot"]


def test_people_are_told_once_of_an_emptied_redis(floor: Floor, redis: Redis) -> None:
    """At the addresses of SEAMKEEPER_NOTIFY, when it is noticed and not at each look."""
    settings = replace(floor.tools.settings, notify=("json://127.0.0.1:1/",))
    watchdog = Watchdog(replace(floor.tools, settings=settings))
    watchdog.look()
    redis.flushall()

    for _ in range(3):
        watchdog.look()

    with database.reading(floor.engine) as connection:
        told = notices.list_notices(connection)
    assert [each["body"].split(".")[0] for each in told] == ["A finding about this deployment: redis_forgot"]


def test_one_that_was_set_back_is_noticed(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """An older snapshot has the same epoch and a lower beat."""
    older = redis.dump(KEYS.epoch())
    watchdog.look()
    redis.restore(KEYS.epoch(), 0, older, replace=True)

    watchdog.look()

    assert state(floor)["recovering"] == "set back"


def test_it_is_noticed_although_everything_was_restarted_at_once(floor: Floor, redis: Redis) -> None:
    """What is known stands in SQL."""
    Watchdog(floor.tools).look()
    redis.flushall()

    Watchdog(floor.tools).look()

    assert state(floor)["recovering"] == "emptied"


def test_what_it_cannot_read_does_not_end_the_scheduler(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """A beat that is no number, or a checkpoint of some other time."""
    redis.hset(KEYS.epoch(), "beat", "many")

    watchdog.look()
    redis.delete(KEYS.epoch())
    watchdog.look()

    assert state(floor)["recovering"] == "emptied"


def test_the_watermark_goes_back(floor: Floor, watchdog: Watchdog, redis: Redis, sim: Running) -> None:
    """What was queued before the loss may be lost: the backfill begins before it, and only then."""
    name = f"backfill:{sim.world.workspace_id}"
    with floor.engine.begin() as connection:
        checkpoints.write(connection, name, {"until": clock.iso(clock.now()), "looked_back_at": clock.iso(clock.now())})
    redis.flushall()

    watchdog.look()

    with database.reading(floor.engine) as connection:
        until = clock.parse(checkpoints.read(connection, name)["until"])
    assert clock.now() - until >= floor.tools.settings.dedupe


@pytest.mark.parametrize(
    "times",
    [pytest.param(3, id="few"), pytest.param(20, id="twenty", marks=[pytest.mark.proof, pytest.mark.timeout(1800)])],
)
def test_emptied_again_and_again(floor: Floor, watchdog: Watchdog, redis: Redis, sim: Running, times: int) -> None:
    """T6: events that were accepted and not yet seen by a worker, events whose handling had begun, users who waited
    for a retry, a later look: after each loss all of it is done, each event once in the journal."""
    for number in range(times):
        people = [sim.world.add_user(full_name=f"Ada {number}", announce=True) for _ in range(4)]
        waiting, begun, retried, applying = people
        for person in people:
            floor.want(person, full_name=f"Grace {number}")
        happened = {
            each.body["acs_user_id"]: dict(each.body) for each in sim.world.events if "acs_user_id" in each.body
        }
        floor.deliver(happened[retried])
        sim.world.faults.add(status=500, path="/acs/users/get")
        floor.work(include_later=False)
        sim.world.faults.clear()
        sim.world.settings.is_holding = True
        floor.deliver(happened[applying])
        floor.work(include_later=False)
        floor.deliver(happened[waiting])
        _begin(floor, happened[begun])
        redis.flushall()
        sim.world.settings.is_holding = False

        tick(floor, watchdog)

        assert state(floor)["recovering"] is None
        assert [floor.event(happened[person]["event_id"])["status"] for person in people] == ["done"] * 4
        assert [floor.user(person)["sync"] for person in people] == ["in_sync"] * 4
        assert [sim.world.user(person)["full_name"] for person in people] == [f"Grace {number}"] * 4  # type: ignore[index]
        assert floor.findings() == []
        watchdog.look()


def test_an_event_that_a_killed_worker_had_begun_comes_back_from_the_journal(
    floor: Floor, watchdog: Watchdog, redis: Redis, sim: Running
) -> None:
    """Even when Seam does not list it any more."""
    payload = event("acs_system.added", acs_system_id=sim.world.acs_system_id)
    _begin(floor, payload)
    redis.flushall()

    tick(floor, watchdog)

    assert floor.event(payload["event_id"])["status"] == "done"


def test_a_recovery_that_fails_is_tried_again(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """It is over when everything was asked for, not before."""
    redis.flushall()
    watchdog.look()
    [job] = [name for name in asked(redis) if name == "recover"]
    redis.flushall()  # and once more, before the job ran

    watchdog.look()
    watchdog.look()
    planned = Schedules(floor.tools.queues).all()
    floor.work()

    assert [each.name for each in planned] == [job]
    assert state(floor)["recovering"] is None


@pytest.mark.parametrize("is_restarted", [False, True], ids=["running", "restarted"])
def test_a_pause_of_a_queue_outlives_a_redis_that_forgot(
    floor: Floor, watchdog: Watchdog, redis: Redis, is_restarted: bool
) -> None:
    """Nothing is written at Seam because Redis lost an order of a person; what was resumed stays so."""
    for name in ("reconcile", "resync"):
        floor.tools.queues.pause_queue(name)
    watchdog.look()
    floor.tools.queues.resume_queue("resync")
    watchdog.look()
    redis.flushall()

    (Watchdog(floor.tools) if is_restarted else watchdog).look()

    assert floor.tools.queues.paused_queues() == {"reconcile"}


def test_what_people_asked_for_goes_on_after_a_loss(
    floor: Floor, watchdog: Watchdog, redis: Redis, sim: Running
) -> None:
    """A span that was being fetched is fetched anew, a replay of many goes on."""
    at = clock.now()
    happened = floor.happened("acs_system.added", "u1", acs_system_id=sim.world.acs_system_id)
    chosen = Chosen(ids=(happened["event_id"],), until=at)
    with floor.engine.begin() as connection:
        name = spans.begin(connection, at - timedelta(hours=2), at, is_dry=False, by="a test")
        replay_id = replays.start(connection, chosen, replays.Plan(1, 1, {}, 0, 1), rate=600, by="a test")
    spans.ask(floor.tools.queues, name)
    floor.tools.queues.ask_replay(replay_id)
    redis.flushall()

    tick(floor, watchdog)

    with database.reading(floor.engine) as connection:
        states = [(spans.find(connection, name) or {})["state"], (replays.find(connection, replay_id) or {})["state"]]
    assert states == ["done", "done"]


def test_another_scheduler_that_noticed_is_believed(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """One that did not act for a while, and then acts again, takes no news of then for a loss of now."""
    redis.flushall()
    tick(floor, Watchdog(floor.tools))
    before = state(floor)

    watchdog.look()

    assert state(floor)["recovering"] is None
    assert state(floor)["id"] == before["id"]


def tick(floor: Floor, watchdog: Watchdog) -> None:
    """What the scheduler does within seconds, and the workers after it."""
    watchdog.look()
    watchdog.look()
    floor.work()
    plan_all(floor.tools.queues, floor.tools.settings)
    floor.work()


def _begin(floor: Floor, payload: dict[str, Any]) -> None:
    """A worker wrote the event's row, and was killed."""
    from seamkeeper import journal
    from seamkeeper.events import read_event
    from tests.signing import body_of

    body = body_of(payload).decode()
    arrival = journal.Arrival(clock.now(), "webhook", f"msg_{uuid.uuid4().hex}")
    with floor.engine.begin() as connection:
        journal.write_event(connection, read_event(body), body, arrival)


def test_a_replay_that_ran_goes_on_after_redis_forgot(floor: Floor, watchdog: Watchdog, redis: Redis) -> None:
    """Its next step was a job of the Redis that is gone; its place is in SQL."""
    chosen = replays.until_now(replays.Chosen(status="dead"))
    with floor.engine.begin() as connection:
        found = replays.plan(connection, Requeue(floor.tools.queues), chosen)
        replay_id = replays.start(connection, chosen, found, rate=600, by="a test")
    redis.flushall()
    watchdog.look()
    plan_all(floor.tools.queues, floor.tools.settings)

    floor.work()

    with database.reading(floor.engine) as connection:
        assert (replays.find(connection, replay_id) or {})["state"] == "done"
