"""The processes of `seamkeeper dev`: started one by one, watched, and ended in order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from console import door


class Ended(Exception):
    """A part ended by itself, or never came up; the message names its log."""


@dataclass
class Household:
    """Each part writes to a log of its own in `logs`; the last one started is the first one ended."""

    logs: Path
    environ: Mapping[str, str]
    held: int = -1  # a descriptor of a lock, which is held as long as any part lives
    note: Callable[[Sequence[int]], None] = lambda pids: None  # is told the processes, each time there is one more
    _parts: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A part as a process of its own session: Ctrl-C reaches `dev`, which ends the parts in order."""
        self.logs.mkdir(parents=True, exist_ok=True)
        command = door.command(module, *arguments)
        held = (self.held,) if self.held >= 0 else ()
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environ, pass_fds=held,
                start_new_session=True,
            )  # fmt: skip
        self._parts.append((name, process))
        self.note([process.pid for _, process in self._parts])
        return process

    def check(self) -> None:
        """Raises `Ended` when a part is not there any more."""
        for name, process in self._parts:
            if process.poll() is not None:
                raise Ended(f"{name} ended (exit {process.returncode}). Its last words:\n{self._last_words(name)}")

    def wait_for_line(self, name: str, beginning: str, *, patience: float = 30.0) -> str:
        """The rest of the first line of a part's log, from this start on, that begins so. Raises `Ended`."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.check()
            for line in reversed((self.logs / f"{name}.log").read_text(errors="replace").splitlines()):
                if line.startswith(beginning):
                    return line.removeprefix(beginning).strip()
            time.sleep(0.02)
        raise Ended(f"{name} did not come up within {patience:.0f} s. Its last words:\n{self._last_words(name)}")

    def forget_logs(self) -> None:
        """Logs are of this start only."""
        for file in self.logs.glob("*.log"):
            file.unlink()

    def end(self, *, patience: float = 20.0) -> None:
        """SIGTERM to each, the last started first, waiting for it; what does not end is killed with its children."""
        for _, process in reversed(self._parts):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(patience)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        self._parts.clear()

    def kill(self) -> None:
        """At once: somebody pressed Ctrl-C twice."""
        for _, process in self._parts:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        self._parts.clear()

    def _last_words(self, name: str) -> str:
        lines = (self.logs / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-8:]) or "  (nothing)"
