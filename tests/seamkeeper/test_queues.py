"""Jobs are what RQ itself would have written; asking and turns keep their promises."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from seamkeeper.queues import (
    ACCEPT,
    HANDLE_EVENT,
    RECONCILE_USER,
    Job,
    Keys,
    Queues,
    Terms,
    accept_call,
    event_job,
    flatten,
)

AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
SOON = timedelta(seconds=30)
STAMPS = {b"created_at", b"enqueued_at", b"retry_intervals"}


def accept(redis: Redis, *jobs: Job) -> list[int]:
    """One trip."""
    keys, arguments = accept_call(
        Keys(),
        flatten(Terms().fields("events")),
        [(job.job_id, job) for job in jobs],
        at=AT,
        dedupe=timedelta(hours=72),
    )
    answers: list[int] = redis.register_script(ACCEPT)(keys=keys, args=arguments)
    return answers


def an_event(name: str = "e1") -> Job:
    """A job for an event."""
    return event_job(name, "acs_user.created", '{"a": "ü"}', received_at=AT, source="webhook", delivery="msg_1")


def as_rq_writes(redis: Redis, job: Job, queue: str, *, delay: timedelta | None = None) -> dict[bytes, bytes]:
    """The same work through RQ's own enqueue, in the same Redis under another id."""
    terms = Terms()
    options: dict[str, Any] = {
        "kwargs": dict(job.arguments), "job_id": "by-rq", "description": job.description,
        "retry": Retry(len(terms.retry_delays), list(terms.retry_delays)),
        "job_timeout": 60, "result_ttl": 3600, "failure_ttl": 30 * 86400,
    }  # fmt: skip
    rq_queue = Queue(queue, connection=redis, serializer=JSONSerializer)
    if delay:
        rq_queue.enqueue_in(delay, job.function, **options)
    else:
        rq_queue.enqueue(job.function, **options)
    return redis.hgetall(Keys().job("by-rq"))


def assert_same(ours: dict[bytes, bytes], theirs: dict[bytes, bytes]) -> None:
    """Field for field; times and jitter aside, which have the same form."""
    assert set(ours) == set(theirs)
    assert zlib.decompress(ours[b"data"]) == zlib.decompress(theirs[b"data"])
    for name in set(ours) - STAMPS - {b"data"}:
        assert ours[name] == theirs[name], name
    for name in STAMPS & set(ours):
        assert len(ours[name].split(b",")) == len(theirs[name].split(b","))


def test_an_accepted_event_is_what_rq_would_have_written(redis: Redis) -> None:
    """Hash fields, queue, set of queues and the absence of a TTL."""
    job = an_event()

    accept(redis, job)
    theirs = as_rq_writes(redis, job, "events")

    assert_same(redis.hgetall(Keys().job("e1")), theirs)
    assert redis.lrange("rq:queue:events", 0, -1) == [b"e1", b"by-rq"]
    assert redis.smembers("rq:queues") == {b"rq:queue:events"}
    assert redis.ttl(Keys().job("e1")) == redis.ttl(Keys().job("by-rq")) == -1


@pytest.mark.parametrize("delay", [None, SOON], ids=["now", "later"])
def test_an_asked_reconcile_is_what_rq_would_have_written(
    redis: Redis, queues: Queues, delay: timedelta | None
) -> None:
    """Also when it is for later, in RQ's scheduled registry."""
    job_id = queues.ask_reconcile("u1", why="a test", source="webhook", delay=delay)
    arguments = {"acs_user_id": "u1", "why": "a test", "source": "webhook", "step": 0}
    theirs = as_rq_writes(redis, Job("x", RECONCILE_USER, arguments, "reconcile u1 (a test)"), "reconcile", delay=delay)

    assert_same(redis.hgetall(Keys().job(job_id)), theirs)
    if delay:
        due = dict(redis.zrange("rq:scheduled:reconcile", 0, -1, withscores=True))
        assert due[job_id.encode()] == pytest.approx(due[b"by-rq"], abs=2)


def test_rq_reads_it_back(redis: Redis) -> None:
    """Function, arguments, retries, time-out."""
    accept(redis, an_event())

    job = RqJob.fetch("e1", connection=redis, serializer=JSONSerializer)

    assert (job.func_name, job.kwargs["body"], job.retries_left, job.timeout) == (HANDLE_EVENT, '{"a": "ü"}', 6, 60)


def test_a_trip_with_duplicates_queues_each_once(redis: Redis) -> None:
    """Within one trip and between trips."""
    first = accept(redis, an_event("a"), an_event("b"), an_event("a"))
    second = accept(redis, an_event("b"), an_event("c"))

    assert (first, second) == ([1, 1, 0], [0, 1])
    assert redis.lrange("rq:queue:events", 0, -1) == [b"a", b"b", b"c"]


def test_keys_follow_rqs_prefix() -> None:
    """A hash tag in RQ_KEY_PREFIX puts ours into the same slot."""
    keys, _ = accept_call(Keys("{sk}"), [], [("e1", an_event())], at=AT, dedupe=SOON)

    assert all(key.startswith("{sk}:") for key in keys)


def test_many_asks_before_a_run_are_one_run(redis: Redis, queues: Queues) -> None:
    """Ten events about one user: one read at Seam."""
    jobs = {queues.ask_reconcile("u1", why="test", source="webhook") for _ in range(10)}

    assert len(jobs) == 1
    assert redis.llen("rq:queue:reconcile") == 1


def test_an_ask_during_a_run_is_one_more_run(redis: Redis, queues: Queues) -> None:
    """Its reason may have come after the run's read."""
    running = queues.ask_reconcile("u1", why="test", source="webhook")
    queues.take_turn("u1", job_id=running, lasts=SOON)

    asked = {queues.ask_reconcile("u1", why="test", source="webhook") for _ in range(5)}

    assert len(asked) == 1
    assert asked != {running}


def test_a_waiting_job_that_was_deleted_elsewhere_silences_nobody(redis: Redis, queues: Queues) -> None:
    """An operator emptied the queue: the next ask is a new job."""
    first = queues.ask_reconcile("u1", why="test", source="webhook")
    RqJob.fetch(first, connection=redis, serializer=JSONSerializer).delete()

    assert queues.ask_reconcile("u1", why="test", source="webhook") != first


def test_a_later_look_does_not_stand_in_the_way_of_one_now(redis: Redis, queues: Queues) -> None:
    """An event two seconds after a repair is looked at now, not in five minutes."""
    later = queues.ask_reconcile("u1", why="test", source="webhook", delay=SOON)
    again = queues.ask_reconcile("u1", why="test", source="webhook", delay=SOON)
    now = queues.ask_reconcile("u1", why="test", source="webhook")

    assert later == again != now
    assert redis.llen("rq:queue:reconcile") == 1


def test_a_turn_is_one_at_a_time_and_ends(redis: Redis, queues: Queues) -> None:
    """By being given back, or by itself; a late owner cannot end the turn of the next."""
    first = queues.take_turn("u1", job_id="a", lasts=timedelta(milliseconds=40))
    busy = queues.take_turn("u1", job_id="b", lasts=SOON)
    other_user = queues.take_turn("u2", job_id="c", lasts=SOON)

    assert first is not None
    assert busy is None
    assert other_user is not None
    while (second := queues.take_turn("u1", job_id="b", lasts=SOON)) is None:
        pass
    queues.give_turn_back("u1", first)
    assert queues.take_turn("u1", job_id="d", lasts=SOON) is None
    queues.give_turn_back("u1", second)
    assert queues.take_turn("u1", job_id="d", lasts=SOON) is not None


def test_a_turn_whose_answer_was_lost_is_ours(redis: Redis, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    """redis-py sends the call again: it must not take itself for another, or the user waits until the turn expires."""
    send = queues._take_turn

    def send_twice(**call: Any) -> Any:
        send(**call)
        return send(**call)

    monkeypatch.setattr(queues, "_take_turn", send_twice)

    assert queues.take_turn("u1", job_id="a", lasts=SOON) is not None


def test_no_body_in_what_rq_logs() -> None:
    """RQ writes a job's description to its log."""
    assert an_event().description == "acs_user.created e1"
