"""Workers: jobs a second and memory, ours beside RQ's own, in turns in one run. All write what RQ writes."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from console import embedded_redis

_QUEUE, _FINISHED = "bench", "rq:finished:bench"
_WARM = 20  # jobs before the clock starts: the imports of a process are not its speed
_RQ = (sys.executable, "-m", "rq.cli")
_QUIET = ("-q", "-S", "json", "-u")


@dataclass(frozen=True, slots=True)
class Contender:
    """A command that works on the queue; `{url}` is the Redis. `guess`: jobs a second, for the size of a round."""

    name: str
    job: str
    command: tuple[str, ...]
    guess: int


CONTENDERS = (
    Contender("`rq worker`, forks", "nothing", (*_RQ, "worker", *_QUIET, "{url}", _QUEUE), 60),
    Contender("`rq worker -w SimpleWorker`", "nothing",
              (*_RQ, "worker", "-w", "rq.SimpleWorker", *_QUIET, "{url}", _QUEUE), 300),
    Contender("ours, 32 threads", "nothing", (sys.executable, "-m", "bench.worker", "{url}", "32"), 1500),
    Contender("`rq worker-pool -n 16`", "wait", (*_RQ, "worker-pool", "-n", "16", *_QUIET, "{url}", _QUEUE), 120),
    Contender("ours, 32 threads", "wait", (sys.executable, "-m", "bench.worker", "{url}", "32"), 1200),
    Contender("ours, 128 threads", "wait", (sys.executable, "-m", "bench.worker", "{url}", "128"), 1500),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Round:
    """Jobs a second, and the memory of all processes of the contender in MiB (proportional set size)."""

    rate: float
    memory: float


def measure(*, rounds: int, seconds: float) -> dict[Contender, list[Round]]:
    """Rounds of each contender, taken in turns."""
    found: dict[Contender, list[Round]] = {contender: [] for contender in CONTENDERS}
    for _ in range(rounds):
        for contender in CONTENDERS:
            with tempfile.TemporaryDirectory(prefix="sk-bench-") as folder:
                server = embedded_redis.start(Path(folder))
                try:
                    found[contender].append(_one(contender, server, max(100, int(contender.guess * seconds))))
                finally:
                    server.stop()
    return found


def table(found: dict[Contender, list[Round]]) -> str:
    """Medians, as Markdown; ratios to the first of the same job."""
    lines = ["| job | worker | jobs/s, median | ratio | memory MiB |", "|---|---|---|---|---|"]
    first: dict[str, float] = {}
    for contender, rounds in found.items():
        rate = statistics.median(each.rate for each in rounds)
        memory = statistics.median(each.memory for each in rounds)
        ratio = rate / first.setdefault(contender.job, rate)
        job = "no-op" if contender.job == "nothing" else "waits 20 ms"
        lines.append(f"| {job} | {contender.name} | {rate:,.0f} | {ratio:.1f} x | {memory:.0f} |")
    return "\n".join(lines)


def _one(contender: Contender, server: embedded_redis.EmbeddedRedis, count: int) -> Round:
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        queue = Queue(_QUEUE, connection=client, serializer=JSONSerializer)
        with client.pipeline() as pipeline:
            for _ in range(count + _WARM):
                queue.enqueue(f"bench.jobs.{contender.job}", pipeline=pipeline)
            pipeline.execute()
        with _working(contender, server.url) as process:
            begun, at = _wait_for(client, process, _WARM)
            memory = _memory(process.pid)
            done, end = _wait_for(client, process, count + _WARM)
        assert client.llen(f"rq:queue:{_QUEUE}") == client.zcard(f"rq:wip:{_QUEUE}") == 0
    return Round((done - begun) / (end - at), memory)


@contextmanager
def _working(contender: Contender, url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [part.format(url=url) for part in contender.command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the session of this contender, which was started just above
        process.wait()


def _wait_for(client: redis.Redis, process: subprocess.Popen[bytes], count: int) -> tuple[int, float]:
    """How many are in RQ's finished registry, and when that was."""
    while (done := int(client.zcard(_FINISHED))) < count:
        assert process.poll() is None, "the worker ended"
        time.sleep(0.005)
    return done, time.perf_counter()


def _memory(pid: int) -> float:
    """Of the process and those it started; 0 where there is no /proc."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return pss / 1024 + sum(_memory(int(child)) for child in children)


def _work(url: str, concurrency: int) -> None:
    """Our worker, as a process of the bench."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from workers.concurrent.worker import ConcurrentWorker

    connection = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), max_connections=1000)
    worker = ConcurrentWorker(
        [_QUEUE], concurrency=concurrency, connection=connection, serializer=JSONSerializer, log_job_description=False
    )
    worker.work(logging_level="ERROR")


if __name__ == "__main__":
    _work(sys.argv[1], int(sys.argv[2]))
