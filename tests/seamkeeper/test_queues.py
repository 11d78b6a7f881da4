"""Jobs are what RQ itself would have written."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from seamkeeper.accept import ACCEPT, accept_call, event_job, queued_event
from seamkeeper.keys import Keys
from seamkeeper.queues import HANDLE_EVENT, RECONCILE_USER, Queues
from seamkeeper.rqjob import Job, Terms, flatten

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


def test_no_body_in_what_rq_logs() -> None:
    """RQ writes a job's description to its log."""
    assert an_event().description == "acs_user.created e1"


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04N.", zlib.compress(b"\x80\x04N."), zlib.compress(b"[1]"),
     zlib.compress(b'["workers.jobs.x", 1, [], {}]'),
     zlib.compress(f'["{HANDLE_EVENT}", null, [], []]'.encode()),
     zlib.compress(f'["{HANDLE_EVENT}", null, [], {{"body": "[]"}}]'.encode())],
    ids=["none", "pickled", "pickled and packed", "a list", "another job", "no arguments", "no event"],
)  # fmt: skip
def test_a_job_of_other_tools_is_no_queued_event(redis: Redis, queues: Queues, data: bytes) -> None:
    """They may share the Redis, and pickle."""
    redis.hset(Keys().job("e1"), "data", data)

    assert queued_event(queues, "e1") is None


def test_a_waiting_event_is_shown_from_its_job(redis: Redis, queues: Queues) -> None:
    """Until a worker has written its row."""
    accept(redis, event_job("e1", "a.b", '{"event_id": "e1"}', received_at=AT, source="webhook", delivery="m"))

    shown = queued_event(queues, "e1")

    assert shown is not None
    assert (shown["event_id"], shown["status"], shown["source"]) == ("e1", "queued", "webhook")
