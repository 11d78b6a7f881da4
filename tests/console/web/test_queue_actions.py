"""What the console does with queues, jobs, workers and schedules, and what it refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from httpx import Response
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from console.web import job_actions, tracebacks
from seamkeeper import audit, clock, dead, journal
from seamkeeper.keys import Keys
from seamkeeper.requeue import Requeue
from seamkeeper.schedules import Schedules
from tests.console.web.conftest import accept, keep_event, keep_user, queues_of
from tests.workers.concurrent.conftest import a_worker

OURS = {"sec-fetch-site": "same-origin"}
JOBS = "tests.workers.concurrent.jobs"


def test_a_queue_is_paused_and_resumed(site_on_sqlite: TestClient, redis: Redis) -> None:
    """By a button, and said on the page; twice is refused in words."""
    said = _do(site_on_sqlite, "/queues/reconcile/pause")
    again = _do(site_on_sqlite, "/queues/reconcile/pause")

    assert "The queue reconcile is paused" in said
    assert "is paused already" in again
    assert queues_of(redis).paused_queues() == {"reconcile"}
    assert "goes on" in _do(site_on_sqlite, "/queues/reconcile/resume")
    assert queues_of(redis).paused_queues() == frozenset()
    assert "no such queue" in _do(site_on_sqlite, "/queues/other/pause")


def test_a_failed_event_runs_again_in_one_job(site: TestClient, redis: Redis, engine: Engine) -> None:
    """However often it is asked: one job in the queue, none in the failed registry; a line in the audit for each."""
    accept(redis, "e1")
    _fail(redis, "events", "e1")

    first, second = _do(site, "/jobs/e1/requeue"), _do(site, "/jobs/e1/requeue")

    assert "in its queue again" in first
    assert "waits or runs already" in second
    assert _queue(redis, "events").get_job_ids() == ["e1"]
    assert redis.zcard(Keys().failed("events")) == 0
    with engine.connect() as connection:
        lines = audit.lines(connection, kind="job", subject_id="e1")
    assert [line["outcome"] for line in lines] == ["refused", "done"]


def test_a_cancelled_event_is_found_among_the_dead_letters(site: TestClient, redis: Redis, engine: Engine) -> None:
    """It is in no queue, its body is kept, it can be requeued: nothing is silently lost."""
    accept(redis, "e1")

    said = _do(site, "/jobs/e1/cancel")

    assert "is cancelled" in said
    assert _queue(redis, "events").count == 0
    assert redis.zscore(CanceledJobRegistry("events", connection=redis).key, "e1")
    with engine.connect() as connection:
        found, letter = journal.find_event(connection, "e1"), dead.find_open(connection, "event", "e1")
    assert found
    assert letter
    assert (found["status"], letter["cause"]) == ("dead", "cancelled")
    assert '"event_id": "e1"' in found["body"]
    assert "in its queue again" in _do(site, "/jobs/e1/requeue")
    assert _queue(redis, "events").get_job_ids() == ["e1"]
    assert not redis.zcard(CanceledJobRegistry("events", connection=redis).key)


def test_what_waits_for_its_time_comes_now(site_on_sqlite: TestClient, redis: Redis) -> None:
    """Its time is moved; the scheduler brings it, as any other."""
    job_id = queues_of(redis).ask_reconcile("u1", why="later", source="repair", delay=timedelta(hours=1))

    said = _do(site_on_sqlite, "/queues/reconcile/scheduled/requeue", id=job_id)

    assert "1 of 1: 1 come now" in said
    assert redis.zscore(Keys().scheduled("reconcile"), job_id) <= time.time()
    assert _queue(redis, "reconcile").count == 0


def test_the_chosen_ones_of_a_registry(site_on_sqlite: TestClient, redis: Redis) -> None:
    """Each is done by itself; what cannot be done is counted, not hidden."""
    accept(redis, "e1", "e2", "e3")
    for name in ("e1", "e2"):
        _fail(redis, "events", name)

    said = _do(site_on_sqlite, "/queues/events/failed/delete", id=["e1", "e3", "e9"])

    assert "1 of 3" in said
    assert "1 still wait or run" in said
    assert "1 not known any more" in said
    assert redis.zrange(Keys().failed("events"), 0, -1) == [b"e2"]
    assert _queue(redis, "events").get_job_ids() == ["e3"]
    assert "Choose at least one" in _do(site_on_sqlite, "/queues/events/failed/requeue")
    assert not Job.exists("e1", connection=redis)


def test_the_only_copy_of_an_event_is_not_deleted(site: TestClient, redis: Redis, engine: Engine) -> None:
    """A job that failed for good while the database was away: its body goes into the journal first, since no delivery
    brings it again. An event that the journal has stays as it is."""
    accept(redis, "e1", "e2")
    keep_event(engine, "e2", status="dead", reason="refused")
    for event_id in ("e1", "e2"):
        _fail(redis, "events", event_id)
        assert "is deleted" in _do(site, f"/jobs/{event_id}/delete")

    with engine.connect() as connection:
        first, second = (journal.find_event(connection, each) for each in ("e1", "e2"))
        letter = dead.find_open(connection, "event", "e1")
    assert first
    assert second
    assert letter
    assert (first["status"], '"event_id": "e1"' in first["body"], second["reason"]) == ("dead", True, "refused")
    assert _registries(redis, "e1") == []
    assert "queue again" in _do(site, "/events/e1/replay")


def test_a_job_that_is_requeued_while_it_is_deleted(
    site: TestClient, redis: Redis, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stays: it waits in its queue, and nothing was taken from it."""
    accept(redis, "e1")
    _fail(redis, "events", "e1")
    monkeypatch.setattr(job_actions, "keep_deleted", lambda *_, **__: Requeue(queues_of(redis)).job("e1"))

    said = _do(site, "/jobs/e1/delete")

    assert "waits or runs" in said
    assert _queue(redis, "events").get_job_ids() == ["e1"]


def test_the_database_goes_away_while_a_job_is_cancelled(site: TestClient, redis: Redis) -> None:
    """Nobody knows whether the event was kept, so its job waits again: it is done once more rather than lost."""
    accept(redis, "e1")

    def no_database(_connection: Any) -> None:
        if redis.hget("rq:job:e1", "status") == b"canceled":
            raise OperationalError("commit", {}, Exception("gone"))

    event.listen(Engine, "commit", no_database)
    try:
        answer = site.post("/jobs/e1/cancel", headers=OURS)
    finally:
        event.remove(Engine, "commit", no_database)

    assert answer.status_code == 503
    assert _registries(redis, "e1") == ["queued"]


def test_a_running_job_is_stopped_not_taken(site_on_sqlite: TestClient, redis: Redis) -> None:
    """With a worker of ours: delete is refused, cancel stops it, and each job ends in exactly one registry."""
    with _working(redis, "events") as is_idle:
        long = _enqueue(redis, "events", "hang", 30)
        _until(lambda: _status(redis, long) == "started")

        refused = _do(site_on_sqlite, f"/jobs/{long}/delete")
        said = _do(site_on_sqlite, f"/jobs/{long}/cancel")
        _until(lambda: _status(redis, long) in ("failed", "stopped"))
        again = _do(site_on_sqlite, f"/jobs/{long}/cancel")
        quick = [_enqueue(redis, "events", "nothing") for _ in range(20)]
        answers = [_do(site_on_sqlite, f"/jobs/{each}/cancel") for each in quick]
        _until(lambda: is_idle() and all(_status(redis, each) in ("finished", "canceled") for each in quick))

    assert "cancel it first" in refused
    assert "asked to stop" in said
    assert "nothing to cancel" in again
    for each, answer in zip(quick, answers, strict=True):
        assert _registries(redis, each) == (["canceled"] if "is cancelled" in answer else ["finished"])


def test_a_worker_ends_after_its_jobs(site_on_sqlite: TestClient, redis: Redis, environment: dict[str, str]) -> None:
    """RQ's own command to a worker process; nobody is asked who is not there."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "tests.workers.concurrent.process", environment["REDIS_URL"], "events", "2", "3", "4096"]  # fmt: skip  # noqa: E501
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        names: list[str] = []
        _until(lambda: bool(names.extend(_workers(redis)) or names))
        _until(lambda: redis.pubsub_numsub(f"rq:pubsub:{names[0]}")[0][1] == 1)

        said = _do(site_on_sqlite, f"/queues/workers/{names[0]}/stop")

        assert "was asked to end" in said
        assert process.wait(timeout=60) == 0
    assert "no such worker" in _do(site_on_sqlite, f"/queues/workers/{names[0]}/stop")


def test_a_schedule_runs_now(site_on_sqlite: TestClient, redis: Redis) -> None:
    """Its job comes now; a name that was never planned is refused."""
    schedules = Schedules(queues_of(redis))
    schedules.plan("backfill", "workers.jobs.backfill_by_the_clock", "resync", every=timedelta(hours=1))
    schedules.began("backfill")

    assert "comes now" in _do(site_on_sqlite, "/queues/schedules/backfill/run")
    assert "no such schedule" in _do(site_on_sqlite, "/queues/schedules/other/run")
    [planned] = schedules.all()
    assert planned.due_at
    assert planned.due_at <= clock.now()


def test_a_worker_of_ours_without_a_heartbeat_is_lost(site_on_sqlite: TestClient, redis: Redis) -> None:
    """RQ calls it busy for eight more minutes; the page says what becomes of its job. A stock one may be silent."""
    silent = clock.iso(clock.now() - timedelta(minutes=2))
    for name, fields in (("ours", {"seamkeeper_version": "1"}), ("stock", {})):
        redis.sadd("rq:workers", f"rq:worker:{name}")
        redis.hset(f"rq:worker:{name}", mapping={"state": "busy", "last_heartbeat": silent, **fields})
    accept(redis, "e1")
    redis.sadd("rq:worker:ours:executions", "e1:x")

    read = site_on_sqlite.get("/queues").text

    assert read.count('class="state bad">lost') == 1
    assert read.count('class="state busy">busy') == 1
    assert "Its job goes back into the queue" in " ".join(read.split())


def test_workers_of_two_versions(site_on_sqlite: TestClient, redis: Redis) -> None:
    """Said on the page, as after half an upgrade."""
    for version in ("1.0", "2.0"):
        redis.sadd("rq:workers", f"rq:worker:w{version}")
        fields = {"state": "idle", "last_heartbeat": clock.iso(clock.now()), "seamkeeper_version": version}
        redis.hset(f"rq:worker:w{version}", mapping=fields)

    assert "Workers of several versions run:</strong> 1.0, 2.0" in site_on_sqlite.get("/queues").text


def test_throughput_is_read_from_finished_jobs(site_on_sqlite: TestClient, redis: Redis) -> None:
    """Jobs that a worker ended just now are in the last bar of the queue they came from."""
    from console.web import work

    with _working(redis, "events") as is_idle:
        ids = [_enqueue(redis, "events", "nothing") for _ in range(6)]
        _until(lambda: is_idle() and all(_status(redis, each) == "finished" for each in ids))

    assert sum(work.per_minute(redis)["events"][-2:]) == pytest.approx(3.0)
    assert "Jobs of events that ended in the last hour" in site_on_sqlite.get("/queues").text


def test_a_viewer_sees_whom_a_job_is_about_masked(
    settings: Any, open_site: Any, engine: Engine, redis: Redis
) -> None:  # fmt: skip
    """Names, and numbers in a traceback; no button is offered."""
    from dataclasses import replace

    from seamkeeper.settings import Login

    keep_user(engine, "u1", name="Jack Doe")
    accept(redis, "e1")
    _fail(redis, "events", "e1", "ValueError: +15555550101 of jack@example.com")
    redis.sadd("rq:workers", "rq:worker:w")
    redis.hset("rq:worker:w", mapping={"state": "busy", "last_heartbeat": clock.iso(clock.now())})
    redis.sadd("rq:worker:w:executions", "e1:x")
    logins = (Login("eve", "viewer", "long enough for it"), Login("ada", "admin", "long enough for it"))

    with open_site(replace(settings, console_logins=logins)) as site:
        queues, job = (site.get(path, auth=("eve", "long enough for it")).text for path in ("/queues", "/jobs/e1"))
        whole = (
            site.get("/jobs/e1", auth=("ada", "long enough for it")).text
            + site.get("/queues", auth=("ada", "long enough for it")).text
        )

    assert "J… D…" in queues
    assert "Jack" not in queues
    assert "+1…0101" in job
    assert "jack@" not in job
    assert "/jobs/e1/requeue" not in job
    for words in ("Jack Doe", "+15555550101", "/jobs/e1/requeue", "/jobs/e1/delete"):
        assert words in whole


def test_our_frames_come_first() -> None:
    """Libraries are folded; ours count as ours also where they are installed."""
    text = (
        "Traceback (most recent call last):\n"
        '  File "/opt/venv/lib/python3.13/site-packages/workers/jobs.py", line 1, in handle_event\n    go()\n    ~~^^\n'
        '  File "/opt/venv/lib/python3.13/site-packages/httpx/_client.py", line 2, in send\n    no()\n'
        '  File "/opt/mine/my_reactions/doors.py", line 3, in open\n    x()\n'
        '  File "/usr/lib/python3.13/json/__init__.py", line 4, in loads\n'
        "ValueError: no\nsecond line\n"
    )

    read = tracebacks.read(text)

    assert read.ending == "ValueError: no\nsecond line"
    assert [line for line in read.ours.splitlines() if "File" in line] == [
        '  File "/opt/venv/lib/python3.13/site-packages/workers/jobs.py", line 1, in handle_event',
        '  File "/opt/mine/my_reactions/doors.py", line 3, in open',
    ]
    assert read.libraries == 2
    assert tracebacks.read("only words") == tracebacks.Traceback("only words", "", 0, "only words")


def _do(site: TestClient, path: str, **form: Any) -> str:
    """The page after an action, which says what became of it."""
    answer: Response = site.post(path, data=form, headers=OURS)
    assert answer.status_code == 303, answer.text
    return str(site.get(answer.headers["location"]).text.replace("&#34;", '"'))


def _queue(redis: Redis, name: str) -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer)


def _enqueue(redis: Redis, queue: str, function: str, *arguments: Any) -> str:
    return str(_queue(redis, queue).enqueue(f"{JOBS}.{function}", *arguments, result_ttl=3600).id)


def _status(redis: Redis, job_id: str) -> str:
    return str(redis.hget(f"rq:job:{job_id}", "status"), "ascii") if redis.exists(f"rq:job:{job_id}") else ""


def _workers(redis: Redis) -> list[str]:
    return [key.decode().removeprefix("rq:worker:") for key in redis.smembers("rq:workers")]


def _registries(redis: Redis, job_id: str) -> list[str]:
    kinds = {"canceled": CanceledJobRegistry, "failed": FailedJobRegistry, "finished": FinishedJobRegistry}
    found = [name for name, kind in kinds.items() if redis.zscore(kind("events", connection=redis).key, job_id)]
    waits = job_id.encode() in redis.lrange("rq:queue:events", 0, -1)
    return found + (["queued"] if waits else [])


def _fail(redis: Redis, queue: str, job_id: str, traceback: str = "ValueError: no") -> None:
    """The job as RQ leaves it after its last try."""
    job = Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
    redis.lrem(f"rq:queue:{queue}", 0, job_id)
    job.set_status(JobStatus.FAILED)
    with redis.pipeline() as pipeline:
        FailedJobRegistry(queue, connection=redis).add(job, ttl=3600, pipeline=pipeline)
        pipeline.execute()
    Result.create_failure(job, 3600, traceback)


class _working:
    """Our worker in a thread of this process; gives a function that says whether it is idle."""

    def __init__(self, redis: Redis, *queues: str) -> None:
        self.worker = a_worker(redis, list(queues))
        self.thread = threading.Thread(target=self.worker.work, daemon=True)

    def __enter__(self) -> Callable[[], bool]:
        self.thread.start()
        return lambda: not self.worker.running

    def __exit__(self, *_: object) -> None:
        self.worker.request_stop(0, None)
        self.thread.join(60)


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
