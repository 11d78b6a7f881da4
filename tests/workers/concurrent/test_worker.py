"""What RQ promises of a worker, with many jobs at once."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Repeat, Retry, Worker, get_current_job
from rq.command import send_shutdown_command, send_stop_job_command
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend

from tests.stack import eventually
from tests.workers.concurrent import jobs
from tests.workers.concurrent.conftest import Yard, a_worker
from workers.concurrent import deadline, worker
from workers.concurrent.run import Run
from workers.concurrent.scripts import GONE, WRITTEN, Unit, settle_call, travel

JOBS = "tests.workers.concurrent.jobs."


def test_many_at_once_and_each_knows_its_own_job(redis: Redis) -> None:
    """RQ's `get_current_job()` is right in every thread, and they overlap."""
    queue = Queue("q", connection=redis, serializer=JSONSerializer)
    ids = [queue.enqueue(jobs.meet, job_id=f"j{number}").id for number in range(jobs.MEETING.parties)]

    a_worker(redis, ["q"], concurrency=len(ids)).work(burst=True, logging_level="CRITICAL")

    for job_id in ids:
        job = Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
        assert job.return_value() == [job_id, job_id]


def test_queues_are_served_in_their_order(redis: Redis) -> None:
    """The second one only when the first is empty."""
    for name in ("second", "first"):
        for number in range(3):
            Queue(name, connection=redis, serializer=JSONSerializer).enqueue(
                jobs.echo, 1, job_id=f"{name}{number}"
            )  # fmt: skip

    a_worker(redis, ["first", "second"], concurrency=1).work(burst=True, logging_level="CRITICAL")

    done = [Job.fetch(f"{name}{number}", connection=redis, serializer=JSONSerializer)
            for name in ("first", "second") for number in range(3)]  # fmt: skip
    starts = [job.started_at for job in done]
    assert starts == sorted(starts)


def test_it_waits_without_asking(yard: Yard) -> None:
    """Two seconds without work are a handful of commands, and a job that comes then begins at once."""
    yard.start(lives=30)
    eventually(lambda: [each.get_state() for each in _workers(yard)] == ["idle"], what="the worker")
    time.sleep(1.5)
    used = yard.commands_in(2)

    assert used < 30
    # Who looks by the clock would find each of them five seconds later (`_LONGEST_SLEEP`). A busy machine may be late
    # for some.
    assert any(_wait_of(yard) < 1 for _ in range(10))


def _wait_of(yard: Yard) -> float:
    """Seconds until a job that comes now is done."""
    began = time.monotonic()
    job_id = yard.enqueue("b", "echo", 1)
    eventually(lambda: yard.job(job_id).get_status() == JobStatus.FINISHED, what="the job")
    return time.monotonic() - began


def test_a_stopped_job_is_stopped_and_the_others_go_on(yard: Yard) -> None:
    """`send_stop_job_command`, for one of several that run."""
    stopped = yard.enqueue("a", "spin", 150)
    other = yard.enqueue_held("a")
    yard.start()
    eventually(lambda: yard.job(other).get_status() == JobStatus.STARTED, what="both")

    send_stop_job_command(yard.redis, stopped, serializer=JSONSerializer)

    eventually(lambda: yard.job(stopped).get_status() == JobStatus.STOPPED, what="the stop")
    assert yard.job(other).get_status() == JobStatus.STARTED
    yard.let_go()
    eventually(lambda: yard.job(other).get_status() == JobStatus.FINISHED, what="the other")
    assert yard.is_settled()


def test_suspended_workers_take_nothing(yard: Yard) -> None:
    """`rq suspend` and `rq resume`."""
    suspend(yard.redis)
    job_id = yard.enqueue("a", "echo", 1)
    yard.start()
    eventually(lambda: [each.get_state() for each in _workers(yard)] == ["suspended"], what="the suspension")
    used = yard.commands_in(1)
    assert yard.job(job_id).get_status() == JobStatus.QUEUED
    assert used < 100  # the job that waits does not keep the loop turning

    resume(yard.redis)

    eventually(lambda: yard.job(job_id).get_status() == JobStatus.FINISHED, what="the job")


def test_a_paused_queue_waits_and_the_others_go_on(yard: Yard) -> None:
    """What runs in it ends; what comes stays; nothing keeps the loop turning; resumed, it is done within seconds."""
    running = yard.enqueue_held("a")
    yard.start()
    eventually(lambda: yard.job(running).get_status() == JobStatus.STARTED, what="the start")

    yard.redis.sadd("rq:seamkeeper:paused", "a")
    yard.let_go()
    held = [yard.enqueue("a", "echo", number) for number in range(20)]
    others = [yard.enqueue("b", "echo", number) for number in range(20)]
    eventually(lambda: all(yard.job(name).get_status() == JobStatus.FINISHED for name in (running, *others)), what="b")
    used = yard.commands_in(1)
    during = {yard.job(name).get_status() for name in held}
    yard.redis.srem("rq:seamkeeper:paused", "a")

    eventually(lambda: yard.job(held[-1]).get_status() == JobStatus.FINISHED, what="the end of the pause")
    assert during == {JobStatus.QUEUED}
    assert used < 150


def test_a_burst_ends_before_a_paused_queue(redis: Redis) -> None:
    """It does not wait for somebody to resume it."""
    queue = Queue("q", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(jobs.echo, 1)
    redis.sadd("rq:seamkeeper:paused", "q")

    a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")

    assert job.get_status() == JobStatus.QUEUED
    assert queue.job_ids == [job.id]


def test_it_is_seen_and_ended_by_rqs_own_tools(yard: Yard) -> None:
    """`rq info` reads its hash and what it runs; the shutdown command ends it in order."""
    job_id = yard.enqueue_held("a")
    process = yard.start()
    eventually(lambda: yard.job(job_id).get_status() == JobStatus.STARTED, what="the start")
    [seen] = _workers(yard)

    assert seen.get_state() == "busy"
    assert [execution.job_id for execution in seen.get_current_executions()] == [job_id]
    send_shutdown_command(yard.redis, seen.name)
    yard.let_go()
    assert process.wait(60) == 0
    assert yard.job(job_id).get_status() == JobStatus.FINISHED


@pytest.mark.parametrize(
    ("then", "options"),
    [
        pytest.param("return", {}, id="plain"),
        pytest.param("raise", {}, id="failing"),
        pytest.param("raise", {"retry": Retry(3)}, id="retried"),
        pytest.param("again", {}, id="returns-a-retry"),
        pytest.param("return", {"repeat": Repeat(2)}, id="repeated"),
        pytest.param("return", {"result_ttl": 0}, id="result-not-kept"),
    ],
)
def test_what_a_job_says_after_it_was_taken_away_is_not_written(
    redis: Redis, then: str, options: dict[str, Any]
) -> None:
    """The sweep gave it to somebody else while its worker was frozen: one execution has one end, however it ends."""
    queue = Queue("q", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(_lose_my_execution, then, **options)
    worker = a_worker(redis, ["q"])

    worker.work(burst=True, logging_level="CRITICAL")

    assert job.get_status() == JobStatus.STARTED
    assert not redis.exists("rq:finished:q", "rq:failed:q", "rq:queue:q", f"rq:results:{job.id}")
    assert worker.executions == {}


def _lose_my_execution(then: str) -> Any:
    job = get_current_job()
    assert job is not None
    job.connection.delete("rq:wip:q")
    if then == "raise":
        raise ValueError(then)
    return Retry(max=3) if then == "again" else None


def test_the_sweep_takes_no_job_whose_worker_has_come_back(redis: Redis) -> None:
    """It looks at the heartbeat again at the moment it takes."""
    redis.zadd("rq:wip:q", {"job:execution": 100})

    verdicts = [
        travel(redis, [settle_call([Unit("rq:wip:q", "job:execution", [("SET", "taken", before)], before=before)])])
        for before in (99, 100)
    ]

    assert verdicts == [[[GONE]], [[WRITTEN]]]
    assert redis.get("taken") == b"100"


def test_a_function_may_change_its_own_job(redis: Redis) -> None:
    """RQ writes all fields of the job again at its end; ours does when there is one that changed."""
    job = Queue("q", connection=redis, serializer=JSONSerializer).enqueue(_describe_me)

    a_worker(redis, ["q"]).work(burst=True, logging_level="CRITICAL")

    assert redis.hget(job.key, "description") == b"as it was told"
    assert job.get_status() == JobStatus.FINISHED


def _describe_me() -> None:
    job = get_current_job()
    assert job is not None
    job.description = "as it was told"


def test_a_time_out_of_a_client_ends_with_the_job() -> None:
    """`remaining()` is what is left, at most what the client would take by itself."""
    with deadline.until(time.monotonic() + 2000):
        assert 1000 < deadline.remaining(10_000) <= 2000
        assert deadline.remaining(0.5) == 0.5
    with deadline.until(time.monotonic() - 1):
        assert 0 < deadline.remaining(10) < 1
    assert deadline.remaining(10) == 10


def test_another_rq_is_refused_at_the_start(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys may have changed."""
    monkeypatch.setattr(worker, "VERSION", "3.1.0")

    with pytest.raises(ValueError, match=r"RQ 3\.1\.0 is installed"):
        a_worker(redis, ["q"])


def test_an_interrupt_after_the_end_hits_nobody() -> None:
    """The thread may run another job already."""
    run = Run.__new__(Run)
    run._lock, run._thread, run._told = threading.Lock(), None, None

    run.interrupt(RuntimeError)

    assert run._told is None


def _workers(yard: Yard) -> list[Any]:
    return Worker.all(connection=yard.redis)
