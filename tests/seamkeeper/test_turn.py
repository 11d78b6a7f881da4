"""Asks, turns and back-off of a user, one promise at a time. All of them at once: test_turn_storm.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from rq.job import Job as RqJob
from rq.job import JobStatus
from rq.registry import ScheduledJobRegistry
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from seamkeeper.keys import Keys
from seamkeeper.queues import RECONCILE, RESYNC, Queues
from tests.seamkeeper.turns import Floor

SOON = timedelta(seconds=30)
KEYS = Keys()


def ask(queues: Queues, user: str = "u1", **options: Any) -> str:
    """An ask for a reconcile."""
    return queues.ask_reconcile(user, why="a test", source="webhook", **options)


def take(queues: Queues, job_id: str, user: str = "u1", **options: Any) -> str | None:
    """Half a minute's turn."""
    return queues.take_turn(user, job_id=job_id, lasts=SOON, why="a test", source="webhook", **options)


def taken(queues: Queues, job_id: str, user: str = "u1", **options: Any) -> str:
    """The token of a turn that is ours."""
    token = take(queues, job_id, user, **options)
    assert token is not None
    return token


def queued(redis: Redis, queue: str = RECONCILE) -> list[str]:
    """Ids of jobs that stand in a queue, in their order."""
    ids = [entry.decode() for entry in redis.lrange(KEYS.queue(queue), 0, -1)]
    return [job_id for job_id in ids if redis.exists(KEYS.job(job_id))]


def scheduled(redis: Redis, queue: str = RECONCILE) -> dict[str, float]:
    """Ids of jobs that wait for their time, and how many seconds off it is."""
    found = redis.zrange(KEYS.scheduled(queue), 0, -1, withscores=True)
    return {entry.decode(): due - time.time() for entry, due in found}


def rq_job(redis: Redis, job_id: str) -> RqJob:
    """As RQ's tools see it."""
    return RqJob.fetch(job_id, connection=redis, serializer=JSONSerializer)


def test_many_asks_before_a_run_are_one_run(redis: Redis, queues: Queues) -> None:
    """Ten events about one user: one read at Seam."""
    jobs = {ask(queues) for _ in range(10)}

    assert queued(redis) == list(jobs)
    assert len(jobs) == 1


def test_an_ask_during_a_run_is_one_more_run(redis: Redis, queues: Queues) -> None:
    """Its reason may have come after the run's read. It stands in no worker's way until the turn is given back."""
    token = taken(queues, "a")

    asked = {ask(queues) for _ in range(5)}
    during = queued(redis)
    queues.give_turn_back("u1", token)

    assert len(asked) == 1
    assert during == []
    assert queued(redis) == list(asked)
    assert scheduled(redis) == {}


def test_an_ask_during_a_run_whose_worker_dies_comes_when_the_turn_ends(redis: Redis, queues: Queues) -> None:
    """Nobody gives it back: RQ's scheduler has the job, for that moment."""
    taken(queues, "a")

    job_id = ask(queues)

    assert list(scheduled(redis)) == [job_id]
    assert 10 <= scheduled(redis)[job_id] <= 31.5  # fewer when the test was kept waiting


def test_a_run_that_finds_the_turn_taken_leaves_it_to_one_after_it(redis: Redis, queues: Queues) -> None:
    """And ends: nothing polls. What it was asked for goes with it."""
    token = taken(queues, "a", step=2)
    job_id = ask(queues, delay=SOON, step=3)

    assert take(queues, job_id, step=3) is None
    [instead] = set(scheduled(redis)) - {job_id}
    queues.give_turn_back("u1", token)

    assert queued(redis) == [instead]
    assert rq_job(redis, instead).kwargs == {"acs_user_id": "u1", "why": "a test", "source": "webhook", "step": 3}


def test_a_turn_is_one_at_a_time_and_ends(redis: Redis, queues: Queues) -> None:
    """By being given back, or by itself; a late owner cannot end the turn of the next."""
    first = queues.take_turn("u1", job_id="a", lasts=SOON)
    assert take(queues, "b") is None
    [instead] = scheduled(redis)
    taken(queues, "c", "u2")
    assert first is not None

    assert 0 < redis.pttl(KEYS.turn("u1")) <= SOON.total_seconds() * 1000
    redis.pexpire(KEYS.turn("u1"), 1)  # and now it is over
    while redis.exists(KEYS.turn("u1")):
        time.sleep(0.005)
    second = taken(queues, instead)
    queues.give_turn_back("u1", first)
    assert take(queues, "d") is None
    queues.give_turn_back("u1", second)

    assert redis.exists(KEYS.turn("u1")) == 0


def test_a_turn_whose_answer_was_lost_is_ours(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py sends the call again: it must not take itself for another, or the user waits until the turn expires."""
    for name in ("_take", "_ask", "_give_back"):
        send = getattr(queues, name)
        monkeypatch.setattr(queues, name, lambda send=send, **call: (send(**call), send(**call))[1])

    job_id = ask(queues)
    token = taken(queues, job_id)
    during = ask(queues)
    queues.give_turn_back("u1", token)

    assert queues.redis.lrange(KEYS.queue(RECONCILE), 0, -1) == [job_id.encode(), during.encode()]


def _deleted(job: RqJob) -> None:
    job.delete()


def _canceled(job: RqJob) -> None:
    job.cancel()


def _taken_out_of_the_registry(job: RqJob) -> None:
    ScheduledJobRegistry(RECONCILE, connection=job.connection, serializer=JSONSerializer).remove(job)


def _with_status(status: JobStatus) -> Callable[[RqJob], None]:
    def change(job: RqJob) -> None:
        job.connection.lrem(KEYS.queue(RECONCILE), 0, job.id)
        job.set_status(status)

    return change


@pytest.mark.parametrize(
    ("what", "delay"),
    [
        (_deleted, None), (_deleted, SOON), (_canceled, None), (_canceled, SOON), (_taken_out_of_the_registry, SOON),
        (_with_status(JobStatus.FAILED), None), (_with_status(JobStatus.STOPPED), None),
        (_with_status(JobStatus.FINISHED), None), (_with_status(JobStatus.STARTED), None),
    ],
    ids=[
        "deleted", "scheduled and deleted", "canceled", "scheduled and canceled", "out of the registry", "failed",
        "stopped", "finished", "started by a worker of whom nothing is left",
    ],
)  # fmt: skip
def test_a_job_of_which_no_run_comes_silences_nobody(
    redis: Redis, queues: Queues, what: Callable[[RqJob], None], delay: timedelta | None
) -> None:
    """An operator or RQ ended it elsewhere: the next ask is a new job."""
    first = ask(queues, delay=delay, step=1 if delay else 0)
    what(rq_job(redis, first))

    assert ask(queues, delay=delay, step=1 if delay else 0) != first


def test_a_job_that_a_worker_has_just_claimed_still_counts(redis: Redis, queues: Queues) -> None:
    """It has not taken the turn: its read comes after the ask."""
    job_id = ask(queues)
    Floor(redis).claim()

    assert ask(queues) == job_id


def test_a_later_look_does_not_stand_in_the_way_of_one_now(redis: Redis, queues: Queues) -> None:
    """An event two seconds after a repair is looked at now, not in five minutes."""
    later = ask(queues, delay=SOON, step=1)
    again = ask(queues, delay=SOON, step=1)
    now = ask(queues)

    assert later == again != now
    assert queued(redis) == [now]


def test_a_later_look_stands_only_for_those_that_come_after_it(redis: Redis, queues: Queues) -> None:
    """One for the start of a schedule in three weeks does not swallow one in half a minute, nor stays beside it."""
    far = ask(queues, delay=timedelta(days=20), step=1)
    near = ask(queues, delay=SOON, step=1)
    behind = ask(queues, delay=timedelta(days=1), step=1)

    assert far != near == behind
    assert redis.exists(f"rq:job:{far}", f"rq:job:{near}") == 1


@pytest.mark.parametrize("kind", [{"step": 1}, {"is_retry": True, "queue": RESYNC}, {"queue": RESYNC}], ids=str)
def test_what_comes_while_a_live_ask_waits_is_its_run(redis: Redis, queues: Queues, kind: dict[str, Any]) -> None:
    """A later look, a retry or a resync: one read instead of two."""
    live = ask(queues)

    assert take(queues, "another", **kind) is None
    assert queued(redis) == [live]
    assert scheduled(redis) == {}


def test_a_live_ask_does_not_wait_behind_a_resync_and_serves_it(redis: Redis, queues: Queues) -> None:
    """A resync of ten thousand users stands in `resync`; the event about one of them does not."""
    behind = ask(queues, queue=RESYNC)
    live = ask(queues)
    before = queued(redis, RESYNC)
    taken(queues, live)

    assert before == [behind]
    assert queued(redis, RESYNC) == []


def test_a_resync_ask_while_a_live_one_waits_is_the_same_run(redis: Redis, queues: Queues) -> None:
    """The live one comes first."""
    live = ask(queues)

    assert ask(queues, queue=RESYNC) == live
    assert queued(redis, RESYNC) == []


def retry(queues: Queues, seconds: float, **options: Any) -> float:
    """Asks for the retry; how many seconds off it is."""
    at = queues.ask_retry("u1", why="a test", source="webhook", delay=timedelta(seconds=seconds), **options)
    return at.timestamp() - time.time()


def test_retries_go_before_resyncs_and_behind_live_asks(redis: Redis, queues: Queues) -> None:
    """RQ's own scheduler puts a retry that is due at the front of the last queue."""
    others = [ask(queues, f"r{number}", queue=RESYNC) for number in range(3)]
    retry(queues, 0)
    [job_id] = scheduled(redis, RESYNC)
    redis.zadd(KEYS.scheduled(RESYNC), {job_id: 1})

    scheduler = RQScheduler([RESYNC], redis, serializer=JSONSerializer)
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()

    assert queued(redis, RESYNC) == [job_id, *others]
    assert queued(redis) == []


def test_each_user_has_one_retry_and_a_failure_prolongs_it(redis: Redis, queues: Queues) -> None:
    """A live run that fails during the back-off makes no second one, nor one that is sooner."""
    first = retry(queues, 100)
    longer = retry(queues, 200)
    shorter = retry(queues, 5)

    assert [round(first), round(longer), round(shorter)] == pytest.approx([100, 200, 200], abs=30)
    assert len(scheduled(redis, RESYNC)) == 1
    assert len(redis.keys("rq:job:*")) == 1


def test_what_was_postponed_may_come_sooner_than_the_retry(redis: Redis, queues: Queues) -> None:
    """A live ask runs at once during a back-off; without a token for Seam's API it runs a little later."""
    retry(queues, 100)

    assert retry(queues, 5, may_be_sooner=True) < 10
    assert len(scheduled(redis, RESYNC)) == 1


@pytest.mark.parametrize("is_due", [False, True], ids=["waiting", "due"])
def test_a_success_drops_the_retry_and_forgets_the_failures(redis: Redis, queues: Queues, is_due: bool) -> None:
    """No read is wasted."""
    token = taken(queues, "a")
    queues.note_failure("u1", token, step=0)
    retry(queues, 100)
    queues.give_turn_back("u1", token)
    if is_due:
        Floor(redis).come_due(RESYNC, next(iter(scheduled(redis, RESYNC))))

    queues.give_turn_back("u1", taken(queues, ask(queues)), settled=True)

    assert (queued(redis, RESYNC), scheduled(redis, RESYNC)) == ([], {})
    assert queues.note_failure("u1", "another token", step=0).number == 1


def test_a_retry_in_a_workers_hands_finds_that_it_was_served(redis: Redis, queues: Queues) -> None:
    """It was claimed during the run that succeeded."""
    retry(queues, 100)
    token = taken(queues, "a")
    Floor(redis).come_due(RESYNC, next(iter(scheduled(redis, RESYNC))))
    job = Floor(redis).claim()
    assert job is not None
    queues.give_turn_back("u1", token, settled=True)

    assert Floor(redis).take(job) is None
    assert redis.exists(KEYS.turn("u1")) == 0


def test_failures_in_a_row_are_counted_once_per_turn(queues: Queues) -> None:
    """However often the call is sent; what was only postponed does not count; the lowest step is kept."""
    told = [
        queues.note_failure("u1", "first", step=2),
        queues.note_failure("u1", "first", step=2),
        queues.note_failure("u1", "second", step=0),
        queues.note_failure("u1", "third", step=3, counts=False),
        queues.note_failure("u1", "fourth", step=3),
    ]

    assert told == [(1, 2), (1, 2), (2, 0), (2, 0), (3, 0)]
    assert 86_000 < queues.redis.ttl(KEYS.failing("u1")) <= 86_400


def test_a_retry_is_what_rq_would_have_written(redis: Redis, queues: Queues) -> None:
    """With RQ's own word for the front of a queue."""
    retry(queues, 100, step=2)

    job = rq_job(redis, next(iter(scheduled(redis, RESYNC))))
    assert (job.origin, job.get_status(), job.enqueue_at_front) == (RESYNC, JobStatus.SCHEDULED, True)
    assert job.kwargs == {"acs_user_id": "u1", "why": "a test", "source": "webhook", "step": 2}
    assert (job.retries_left, job.timeout, job.enqueued_at) == (6, 60, None)
