"""Intake: accepted webhooks a second, ours beside the naive receiver and bare Starlette, in turns in one run."""

from __future__ import annotations

import base64
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bench.contenders import FACTORIES
from bench.load import Round, make_requests, send
from console import embedded_redis

OURS, ALWAYS = "ours", "ours, appendfsync always"  # the others with everysec
CONTENDERS = (*FACTORIES, OURS, ALWAYS)
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes....").decode()


def measure(*, rounds: int, seconds: float, connections: int) -> dict[str, list[Round]]:
    """Rounds of each contender, taken in turns, so that a noisy neighbour meets all of them."""
    found: dict[str, list[Round]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="sk-bench-") as folder:
        server = embedded_redis.start(Path(folder))
        try:
            with redis.Redis(unix_socket_path=str(server.socket)) as client:
                guesses = {name: _one(name, server.url, 1000, connections).rate for name in CONTENDERS}
                for _ in range(rounds):
                    for name in CONTENDERS:
                        client.flushall()
                        client.config_set("appendfsync", "always" if name == ALWAYS else "everysec")
                        count = max(1000, int(guesses[name] * seconds))
                        found[name].append(_one(name, server.url, count, connections))
                        _check(client, name, count)
        finally:
            server.stop()
    return found


def table(found: dict[str, list[Round]]) -> str:
    """Medians, as Markdown."""
    rate = {name: statistics.median(each.rate for each in rounds) for name, rounds in found.items()}
    lines = ["| receiver | requests/s, median | of naive | of bare | p50 ms | p99 ms |", "|---|---|---|---|---|---|"]
    for name, rounds in found.items():
        p50 = statistics.median(each.p50 for each in rounds)
        p99 = statistics.median(each.p99 for each in rounds)
        shares = f"{rate[name] / rate['naive']:.2f} x | {rate[name] / rate['bare']:.0%}"
        lines.append(f"| {name} | {rate[name]:,.0f} | {shares} | {p50:.1f} | {p99:.1f} |")
    return "\n".join(lines)


def _one(name: str, redis_url: str, count: int, connections: int) -> Round:
    requests = make_requests(count, secret=SECRET)
    with _serving(name, redis_url) as port:
        send(port, make_requests(300, secret=SECRET), connections=connections)  # warm
        return send(port, requests, connections=connections)


def _check(client: redis.Redis, name: str, count: int) -> None:
    """A number counts only if the work was done: every event is in the queue, once."""
    expected = 0 if name == "bare" else count + 300
    assert client.llen("rq:queue:events") == expected, f"{name} queued {client.llen('rq:queue:events')} of {expected}"


@contextmanager
def _serving(name: str, redis_url: str) -> Iterator[int]:
    """The contender on its own core, where there are two; this process on the other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    told = {"REDIS_URL": redis_url, "SEAM_WEBHOOK_SECRET": SECRET, "SEAMKEEPER_LOG_FORMAT": "json"}
    if name in (OURS, ALWAYS):  # as it is deployed
        command = [sys.executable, "-m", "receiver", "--port", str(port)]
    else:
        command = [sys.executable, "-m", "uvicorn", "--factory", FACTORIES[name], "--port", str(port)]
        command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log"]
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (our log lines are written, and thrown away)
        process = subprocess.Popen(command, env={**os.environ, **told}, stdout=nowhere)
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, {cores[0]})
        os.sched_setaffinity(0, {cores[1]})
    try:
        _wait_for(port, process)
        yield port
    finally:
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores))
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(3000):
        assert process.poll() is None, "the contender ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("the contender did not come up")
