"""Our worker in this process, and as processes that can be killed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from tests.stack import ROOT
from workers.concurrent.worker import ConcurrentWorker

NAME = "the-worker"
Threads = list[str]


def a_worker(redis: Redis, queues: list[str], **options: Any) -> ConcurrentWorker:
    """With eight threads, named as the tests expect."""
    told: dict[str, Any] = {"concurrency": 8, "name": NAME, "log_job_description": False} | options
    return ConcurrentWorker(queues, connection=redis, serializer=JSONSerializer, **told)


@pytest.fixture
def thread_errors(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """What ended a thread of the worker unexpectedly."""
    found: Threads = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(repr(args.exc_value)))
    return found


class Yard:
    """A Redis, queues in it, and worker processes that a test starts and kills."""

    def __init__(self, redis: Redis, url: str, folder: Path) -> None:
        self.redis, self.url, self._folder = redis, url, folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self, queues: str = "a,b", *, concurrency: int = 4, lives: int = 3, memory: int = 4096
    ) -> subprocess.Popen[bytes]:
        """One worker process; jobs of a dead one come back after `lives` seconds. `memory` in MiB, as our setting."""
        told = map(str, (self.url, queues, concurrency, lives, memory))
        return self.run("tests.workers.concurrent.process", *told)

    def run(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Some program that works on the queues."""
        with (self._folder / "workers.log").open("ab") as log:
            command = [sys.executable, "-m", module, *arguments]
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        self._running.append(process)
        return process

    def enqueue(self, queue: str, function: str, *arguments: Any, **options: Any) -> str:
        """One of the jobs of tests/workers/concurrent/jobs.py; gives its id."""
        found = Queue(queue, connection=self.redis, serializer=JSONSerializer)
        return str(found.enqueue(f"tests.workers.concurrent.jobs.{function}", *arguments, **options).id)

    def enqueue_held(self, queue: str) -> str:
        """A job that runs until `let_go`: no test has to be quick to see it run."""
        return self.enqueue(queue, "wait_for", self.url, "let-go")

    def let_go(self) -> None:
        """Those that are held end."""
        self.redis.set("let-go", 1)

    def commands_in(self, seconds: float) -> float:
        """How many commands Redis heard, each second of at least so many: this process may be kept waiting itself."""
        at, before = time.monotonic(), self.redis.info("stats")["total_commands_processed"]
        time.sleep(seconds)
        used = self.redis.info("stats")["total_commands_processed"] - before
        return float(used / (time.monotonic() - at))

    def job(self, job_id: str) -> Job:
        """As it stands in Redis now."""
        return Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)

    def runs(self) -> dict[str, int]:
        """How often each job of `count` was done."""
        return {name.decode(): int(times) for name, times in self.redis.hgetall("done").items()}

    def is_settled(self, queues: str = "ab") -> bool:
        """Nothing waits, nothing runs."""
        return not any(self.redis.exists(f"rq:queue:{name}", f"rq:wip:{name}") for name in queues)

    def reason(self, job_id: str) -> str:
        """Why it is in the failed registry."""
        result = self.job(job_id).latest_result()
        return str(result.exc_string) if result else ""

    def log(self) -> str:
        """What the workers said."""
        return (self._folder / "workers.log").read_text(encoding="utf-8")

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


@pytest.fixture
def yard(redis: Redis, redis_url: str, tmp_path: Path) -> Iterator[Yard]:
    """Everything in it ends with the test."""
    found = Yard(redis, redis_url, tmp_path)
    yield found
    found.end()
