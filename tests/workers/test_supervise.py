"""`python -m workers worker`: processes that are replaced, that keep ending, that are ended, and how it exits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from tests.stack import ROOT, Stack, eventually, stack

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def deployment(environment: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    """Nothing is started yet."""
    with stack({**environment, "SEAM_API_KEY": "seam_test_key"}, tmp_path) as found:
        yield found


def _start(deployment: Stack, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    deployment.environ = {**deployment.environ, **variables}
    return deployment.start("worker", "workers", "worker", *arguments)


def _said(deployment: Stack, message: str) -> list[dict[str, Any]]:
    lines = (deployment.logs / "worker.log").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line["event"] == message]


def _pids(redis: Redis) -> set[int]:
    return {worker.pid for worker in Worker.all(connection=redis) if worker.pid}


def _idle(redis: Redis) -> list[int]:
    return [worker.pid for worker in Worker.all(connection=redis) if worker.pid and worker.get_state() == "idle"]


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param({"SEAMKEEPER_WORKER_LIFETIME_HOURS": "0.0003"}, id="age"),
        pytest.param({"SEAMKEEPER_WORKER_MEMORY_MIB": "20"}, id="memory"),
    ],
)
def test_a_process_that_is_old_or_large_is_replaced(deployment: Stack, redis: Redis, limit: dict[str, str]) -> None:
    """Another one takes its place, and the log says that it was no accident; SIGTERM ends the whole."""
    worker = _start(deployment, **limit)
    first, *_ = eventually(lambda: _pids(redis), what="a process")

    eventually(lambda: _pids(redis) - {first}, what="another process")
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(90) == 0
    assert first in {line["pid"] for line in _said(deployment, "worker.process_replaced")}
    assert _said(deployment, "worker.process_ended") == []


def test_a_process_that_crashes_is_started_again(deployment: Stack, redis: Redis) -> None:
    """With a warning."""
    worker = _start(deployment, "--processes", "2")
    before = eventually(lambda: len(pids := _pids(redis)) == 2 and pids, what="both processes")
    killed = sorted(before)[0]

    os.kill(killed, signal.SIGKILL)

    eventually(lambda: _pids(redis) - before, what="another one")
    assert worker.poll() is None
    assert _said(deployment, "worker.process_ended")[0]["exit"] == -signal.SIGKILL


@pytest.mark.slow
def test_processes_that_keep_ending_are_no_accident(deployment: Stack, redis: Redis) -> None:
    """Said as an error; the supervisor goes on, more slowly: what is missing may come back."""
    worker = _start(deployment, REDIS_URL="unix:///nowhere/redis.sock")

    [first, *_] = eventually(
        lambda: _said(deployment, "worker.process_keeps_ending"), within=120, what="the error"
    )  # fmt: skip

    assert first["level"] == "error"
    assert first["times"] == 5
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(90) == 0


def test_burst_ends_with_the_queues(deployment: Stack, redis: Redis) -> None:
    """Exit 0, nothing left."""
    queue = Queue("reconcile", connection=redis, serializer=JSONSerializer)
    for number in range(20):
        queue.enqueue("tests.workers.concurrent.jobs.echo", number)

    worker = _start(deployment, "--burst", "--processes", "2", "--concurrency", "3")

    assert worker.wait(90) == 0
    assert queue.count == 0
    assert len(queue.finished_job_registry) == 20


@pytest.mark.slow
def test_a_process_that_does_not_end_is_killed(deployment: Stack, redis: Redis) -> None:
    """Exit 1: its job comes back by itself."""
    worker = _start(deployment, SEAMKEEPER_JOB_TIMEOUT_SECONDS="1")
    [pid] = eventually(lambda: _idle(redis), what="the process")

    os.kill(pid, signal.SIGSTOP)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(90) == 1
    assert _said(deployment, "worker.stopped")[0]["killed"] == 1


def test_another_rq_is_refused_with_a_sentence(environment: dict[str, str]) -> None:
    """Exit 2, no traceback."""
    program = (
        "import sys, rq.version; rq.version.VERSION = '3.1.0'\n"
        "from workers.__main__ import main\n"
        "sys.argv[1:] = ['worker']; raise SystemExit(main())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], env={**environment, "SEAM_API_KEY": "seam_test_key"}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 2
    assert "RQ 3.1.0 is installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_has_only_begun_is_ended_too(environment: dict[str, str]) -> None:
    """A signal that comes before it has handlers of its own is not taken for one to the supervisor, and lost."""
    program = (
        "import time\n"
        "from workers import supervise\n"
        "from seamkeeper.settings import Settings\n"
        "begin = supervise._run_child\n"
        "supervise._run_child = lambda *what: (time.sleep(2), begin(*what))\n"
        "supervise.work = lambda *_, **__: time.sleep(60)\n"
        "print(flush=True)\n"
        "raise SystemExit(supervise.Supervisor(Settings(), ['q'], processes=1, concurrency=1).run())"
    )
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.readline()  # `worker.started`, and the fork right after it
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)

        assert process.wait(90) == 0
