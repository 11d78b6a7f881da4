"""The real processes of a deployment, for tests that must see them: receiver, workers, scheduler."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner

from console import cli
from simulator.serve import Running
from tests.signing import body_of, signed

ROOT = Path(__file__).parent.parent
Found = TypeVar("Found")


def free_port() -> int:
    """A port nobody listens on now. Below those that systems give to connections and to port 0: one of these would be
    somebody else's by the time a process of ours listens on it. By the system's own chance: pytest-randomly gives that
    of the module the same seed before each test, in every process."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(look: Callable[[], Found], *, within: float = 60.0, what: str = "it") -> Found:
    """The first truthy answer; fails with the last one after `within` seconds. A look that takes long comes less often:
    it takes the time of what is waited for."""
    deadline = time.monotonic() + within
    while True:
        began = time.monotonic()
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {within:.0f} s; last: {found!r}"
        time.sleep(max(0.05, 3 * (time.monotonic() - began)))


def none_left(look: Callable[[], Collection[object]], *, within: float = 60.0, what: str = "it") -> None:
    """Until `look` finds nothing that is missing; what it found last stands in the failure."""
    last: list[Collection[object]] = []

    def nothing() -> bool:
        last[:] = [look()]
        return not last[0]

    try:
        eventually(nothing, within=within, what=what)
    except AssertionError as error:
        raise AssertionError(f"{error}; {len(last[0])} left: {last[0]!r:.2000}") from None


def family(pid: int) -> list[int]:
    """A process' children and theirs: those of a worker have sessions of their own, and outlive it for a while. Empty
    where there is no /proc."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [each for child in map(int, words) for each in (child, *family(child))]


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL, also to all that it started."""
    for pid in (process.pid, *family(process.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass
class Stack:
    """Processes that share one environment; each writes to a log of its own."""

    environ: Mapping[str, str]
    logs: Path
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """One more process."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], env=dict(self.environ), stdout=log, stderr=log, cwd=ROOT,
                start_new_session=True,
            )  # fmt: skip
        self.running[name] = process
        return process

    def start_receiver(self, *arguments: str) -> None:
        """And waits until it answers."""
        self.start("receiver", "receiver", "--port", str(self.port), *arguments)
        eventually(self.is_live, what="the receiver")

    def start_workers(self, *arguments: str) -> None:
        """Worker processes and the scheduler."""
        self.start("scheduler", "workers", "scheduler")
        self.start("worker", "workers", "worker", *arguments)

    def is_live(self) -> bool:
        """True when the receiver answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def post(self, payload: Mapping[str, Any], **options: Any) -> int:
        """Delivers a signed event; gives the status, 0 when nobody answered."""
        body = body_of(payload)
        headers = {"content-type": "application/json", **signed(body, **options)}
        url = f"http://127.0.0.1:{self.port}/webhooks/seam"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def seamkeeper(self, *arguments: str, exit_code: int | None = 0) -> str:
        """The command line on the same environment; gives stdout."""
        done = subprocess.run(
            [sys.executable, "-m", "console", *arguments], env=dict(self.environ), capture_output=True, text=True,
            cwd=ROOT, check=False, timeout=150,
        )  # fmt: skip
        assert exit_code is None or done.returncode == exit_code, f"{arguments}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def shown(self, what: str, name: str) -> dict[str, Any]:
        """`users show` or `events show` as JSON; empty when there is no such thing yet. In this process: who waits for
        something looks again and again, and a process each time would take the time of those who are looked at."""
        said = CliRunner().invoke(cli.cli, [what, "show", name, "--json"], env=dict(self.environ)).stdout
        found: dict[str, Any] = json.loads(said) if said else {}
        return found

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to what does not end."""
        for process in self.running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                kill(process)  # who is left would work on the Redis of the next test
        self.running.clear()


@contextmanager
def stack(environ: Mapping[str, str], logs: Path, *, seam: Running | None = None, **more: str) -> Iterator[Stack]:
    """A deployment that ends with the test; with the variables of a simulator, and `more` of them."""
    of_seam = {"SEAM_API_KEY": seam.api_key, "SEAM_ENDPOINT": seam.url} if seam else {}
    found = Stack({**environ, **of_seam, **more}, logs)
    try:
        yield found
    finally:
        found.stop()
