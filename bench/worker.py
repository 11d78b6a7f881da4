"""Workers: jobs a second and memory, ours beside RQ's own and beside other queues, in turns in one run.

RQ's and ours write what RQ writes; the others (bench/peers.py) what they write.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from console import embedded_redis

_QUEUE, _FINISHED = "bench", "rq:finished:bench"
_WARM = 20  # jobs before the clock starts: the imports of a process are not its speed
_PEERS = Path(sys.prefix) / "peers" / "bin" / "python"  # `make bench` makes it
_ROOT = Path(__file__).parent.parent
_RQ = (sys.executable, "-m", "rq.cli")
_QUIET = ("-q", "-S", "json", "-u")


@dataclass(frozen=True, slots=True)
class Contender:
    """A command that works on the queue; `{url}` is the Redis. `guess`: jobs a second, for the size of a round."""

    name: str
    job: str
    command: tuple[str, ...]
    guess: int
    peer: str = ""  # which of the other queues


def _peer(name: str, guess: int) -> Contender:
    return Contender(name, "nothing", (str(_PEERS), "-m", "bench.peers", name, "work", "{url}"), guess, peer=name)


CONTENDERS = (
    Contender("`rq worker`, forks", "nothing", (*_RQ, "worker", *_QUIET, "{url}", _QUEUE), 60),
    Contender("`rq worker -w SimpleWorker`", "nothing",
              (*_RQ, "worker", "-w", "rq.SimpleWorker", *_QUIET, "{url}", _QUEUE), 300),
    Contender("ours, 32 threads", "nothing", (sys.executable, "-m", "bench.worker", "{url}", "32"), 2500),
    _peer("dramatiq", 1500),
    _peer("arq", 1000),
    _peer("celery", 700),
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
    found: dict[Contender, list[Round]] = {each: [] for each in CONTENDERS if not each.peer or _PEERS.exists()}
    if len(found) < len(CONTENDERS):
        print("The other queues are not installed and left out; `make bench` installs them.", file=sys.stderr)
    for _ in range(rounds):
        for contender in found:
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
        _fill(contender, client, server.url, count + _WARM)
        done = _counter(contender.peer, client, count + _WARM)
        with _working(contender, server.url) as process:
            begun, at = _wait_for(done, process, _WARM)
            memory = _memory(process.pid)
            ended, end = _wait_for(done, process, count + _WARM)
        assert client.llen(f"rq:queue:{_QUEUE}") == client.zcard(f"rq:wip:{_QUEUE}") == 0
    return Round((ended - begun) / (end - at), memory)


def _fill(contender: Contender, client: redis.Redis, url: str, count: int) -> None:
    if contender.peer:
        command = [str(_PEERS), "-m", "bench.peers", contender.peer, "fill", url, str(count)]
        subprocess.run(command, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return
    queue = Queue(_QUEUE, connection=client, serializer=JSONSerializer)
    with client.pipeline() as pipeline:
        for _ in range(count):
            queue.enqueue(f"bench.jobs.{contender.job}", pipeline=pipeline)
        pipeline.execute()


def _counter(peer: str, client: redis.Redis, count: int) -> Callable[[], int]:
    """How many are done: RQ counts them, of the others' jobs what is not there any more."""
    left: dict[str, Callable[[], int]] = {
        "dramatiq": lambda: int(client.hlen("dramatiq:default.msgs")),
        "arq": lambda: int(client.zcard("arq:queue")),
        "celery": lambda: int(client.llen("celery") + client.hlen("unacked")),
    }
    return (lambda: count - left[peer]()) if peer else lambda: int(client.zcard(_FINISHED))


@contextmanager
def _working(contender: Contender, url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [part.format(url=url) for part in contender.command]
    silent: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=_ROOT, start_new_session=True, **silent)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the session of this contender, which was started just above
        process.wait()


def _wait_for(done: Callable[[], int], process: subprocess.Popen[bytes], count: int) -> tuple[int, float]:
    """How many are done, and when that was."""
    while (number := done()) < count:
        assert process.poll() is None, "the worker ended"
        time.sleep(0.005)
    return number, time.perf_counter()


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
