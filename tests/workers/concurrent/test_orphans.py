"""Jobs that stock workers leave in no queue: found among all keys, and queued again."""

from __future__ import annotations

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from tests.workers.concurrent.conftest import a_worker
from workers.concurrent import sweep as sweeping
from workers.concurrent.sweep import sweep

JOBS = "tests.workers.concurrent.jobs."


@pytest.fixture
def queue(redis: Redis) -> Queue:
    """Where they were."""
    return Queue("q", connection=redis, serializer=JSONSerializer)


def _lose(queue: Queue, job_id: str) -> Job:
    """As a stock worker does that is killed between its pop and the start."""
    job = queue.enqueue(f"{JOBS}echo", 1, job_id=job_id)
    queue.connection.lrem(queue.key, 0, job_id)
    return job


def _sweep(redis: Redis) -> None:
    redis.delete("rq:seamkeeper:sweep")
    assert sweep(a_worker(redis, ["q"]), period=1)


def test_an_orphan_is_seen_twice_and_then_queued(redis: Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pop may be under way: the first sweep only remembers it."""
    job = _lose(queue, "lost")

    _sweep(redis)
    first = queue.job_ids
    monkeypatch.setattr(sweeping, "_BETWEEN_LOOKS", -1)
    _sweep(redis)

    assert first == []
    assert queue.job_ids == [job.id]
    assert redis.zcard("rq:seamkeeper:orphans") == 0


def test_what_is_queued_runs_or_ended_is_no_orphan(redis: Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a job behind the next one, nor one in a stock worker's intermediate list, nor a finished one."""
    monkeypatch.setattr(sweeping, "_BETWEEN_LOOKS", -1)
    done = queue.enqueue(f"{JOBS}echo", 1)
    a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")
    held = _lose(queue, "held")
    redis.lpush(queue.intermediate_queue_key, held.id)
    waiting = [queue.enqueue(f"{JOBS}echo", 1).id for _ in range(3)]

    for _ in range(3):
        _sweep(redis)

    assert queue.job_ids == waiting
    assert done.is_finished


def test_a_job_put_at_the_front_makes_no_suspects_of_those_behind_it(redis: Redis, queue: Queue) -> None:
    """It is newer than all of them; each suspect costs a search through the queue."""
    for number in range(50):
        queue.enqueue(f"{JOBS}echo", number)
    for _ in range(3):
        queue.enqueue(f"{JOBS}echo", 0, at_front=True)
    redis.config_resetstat()

    _sweep(redis)

    assert "cmdstat_lpos" not in redis.info("commandstats")


def test_among_many_keys_every_sweep_goes_on_where_the_last_one_ended(
    redis: Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One looks at 5,000 keys; nothing is left out."""
    monkeypatch.setattr(sweeping, "_BETWEEN_LOOKS", -1)
    lost = {_lose(queue, f"lost{number}").id for number in range(20)}
    with redis.pipeline(transaction=False) as pipeline:
        for number in range(12_000):
            pipeline.hset(f"rq:job:other{number}", mapping={"status": "finished", "origin": "q", "data": "x"})
        pipeline.execute()

    _sweep(redis)
    after_one = redis.zcard("rq:seamkeeper:orphans")
    for _ in range(12):  # one that is back and waits hides those that were queued after it
        _sweep(redis)
        a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")

    assert after_one < len(lost)
    assert set(queue.finished_job_registry.get_job_ids()) == lost
