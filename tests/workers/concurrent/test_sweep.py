"""What the sweep does for a job whose worker is gone, beside bringing it back."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from rq import Queue, RateLimit, Retry
from rq.job import Dependency, Job, JobStatus
from rq.serializers import JSONSerializer

from tests.workers.concurrent.conftest import a_worker
from workers.concurrent import sweep as sweeping
from workers.concurrent.claim import claim_call, runs
from workers.concurrent.scripts import travel

JOBS = "tests.workers.concurrent.jobs."


@pytest.fixture
def queue(redis: Redis) -> Queue:
    """Where the jobs are."""
    return Queue("q", connection=redis, serializer=JSONSerializer)


def _abandon(redis: Redis, count: int = 1) -> None:
    """A worker claims them and is heard of no more."""
    worker = a_worker(redis, ["q"], name="dead")
    [answer] = travel(redis, [claim_call(worker, count, lives=30)])
    for run in runs(worker, answer):
        redis.zadd(run.registry, {run.entry: 100})


def _sweep(redis: Redis) -> None:
    redis.delete("rq:seamkeeper:sweep")
    assert sweeping.sweep(a_worker(redis, ["q"]), period=1)


def test_without_retries_it_fails_and_those_that_waited_for_it_go_on(redis: Redis, queue: Queue) -> None:
    """Its place under a rate limit is free, and a job that was to run whatever became of it is queued."""
    first = queue.enqueue(f"{JOBS}echo", 1, job_id="first", rate_limit=RateLimit("key", 1))
    limited = queue.enqueue(f"{JOBS}echo", 2, job_id="limited", rate_limit=RateLimit("key", 1))
    after = queue.enqueue(f"{JOBS}echo", 3, job_id="after", depends_on=Dependency([first], allow_failure=True))
    _abandon(redis)

    _sweep(redis)

    assert first.get_status() == JobStatus.FAILED
    assert {limited.get_status(), after.get_status()} == {JobStatus.QUEUED}
    assert sorted(queue.job_ids) == ["after", "limited"]


@pytest.mark.parametrize("is_scheduled", [False, True])
def test_a_worker_killed_while_it_scheduled_a_retry_loses_no_job(
    redis: Redis, queue: Queue, is_scheduled: bool
) -> None:
    """RQ writes the status before its transaction. With the word alone the job comes back; else it has its time."""
    job = queue.enqueue(f"{JOBS}echo", 1, retry=Retry(3, [10, 10, 10]))
    _abandon(redis)
    job.set_status(JobStatus.SCHEDULED)
    if is_scheduled:
        redis.zadd(queue.scheduled_job_registry.key, {job.id: 100})

    _sweep(redis)

    assert queue.started_job_registry.get_job_ids(cleanup=False) == []
    assert queue.scheduled_job_registry.get_job_ids(cleanup=False) == [job.id]
    assert (redis.zscore(queue.scheduled_job_registry.key, job.id) == 100) == is_scheduled


@pytest.mark.parametrize("note", ["", "its process took 900 MiB of memory"])
def test_after_three_workers_it_is_set_aside(redis: Redis, queue: Queue, note: str) -> None:
    """With what the last of them said about its end."""
    job = queue.enqueue(f"{JOBS}echo", 1, retry=Retry(10))
    for _ in range(3):
        assert job.get_status() == JobStatus.QUEUED
        _abandon(redis)
        if note:
            sweeping.note_end(a_worker(redis, ["q"], name="dead"), note)
        _sweep(redis)

    assert job.get_status() == JobStatus.FAILED
    assert "3 workers ended while they ran it" in _reason(job)
    assert note in _reason(job)


def test_those_that_had_their_last_chance_but_one_come_back_one_after_the_other(redis: Redis, queue: Queue) -> None:
    """The second one when the first has ended: it may be the one that kills its worker."""
    jobs = {queue.enqueue(f"{JOBS}echo", 1, job_id=name, retry=Retry(10)).id for name in ("one", "two", "three")}
    _abandon(redis, 3)
    _sweep(redis)
    _abandon(redis, 3)
    seen = []
    for _ in range(3):
        _sweep(redis)
        _wake_all(redis)
        _sweep(redis)
        seen.append(queue.job_ids)
        a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")
        _wake_all(redis)

    assert [len(ids) for ids in seen] == [1, 1, 1]
    assert {ids[0] for ids in seen} == jobs


def _wake_all(redis: Redis) -> None:
    """Those that were put off for a period are looked at again."""
    for member in redis.zrange("rq:wip:q", 0, -1):
        redis.zadd("rq:wip:q", {member: 100})


def test_a_worker_that_was_only_slow_is_no_death(redis: Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its heartbeat comes between the sweep's look and its take: nothing is taken, nothing is counted."""
    job = queue.enqueue(f"{JOBS}echo", 1, retry=Retry(10))
    _abandon(redis)
    fetch = Job.fetch

    def beat_then_fetch(*arguments: Any, **options: Any) -> Job:
        redis.zadd("rq:wip:q", {redis.zrange("rq:wip:q", 0, 0)[0]: 9e9})
        return fetch(*arguments, **options)

    monkeypatch.setattr(Job, "fetch", beat_then_fetch)

    _sweep(redis)

    assert job.get_status() == JobStatus.STARTED
    assert queue.job_ids == []
    assert redis.get(f"rq:seamkeeper:deaths:{job.id}") == b"0"


def _reason(job: Job) -> str:
    result = job.latest_result()
    return str(result.exc_string) if result else ""
