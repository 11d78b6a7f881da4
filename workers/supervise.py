"""Starts worker processes, starts them again when they end, and ends them in order.

Everything heavy is imported before the first fork, and nothing is opened before it: children share the memory of the
modules and no socket.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from typing import Any

import workers.jobs
import workers.seam_answers  # noqa: F401 (imported before the fork: the SDK takes up to two seconds)
from seamkeeper import logs
from seamkeeper.settings import Settings
from workers.process import REPLACE, work

_ENDS = (signal.SIGTERM, signal.SIGINT)
_FORK = multiprocessing.get_context("fork")
_SOON, _LATEST = 0.2, 5.0  # seconds before a process that ended is started again; doubled while it ends quickly
_TOO_OFTEN = 5  # ends in a row, each soon after the start, until it is said that this is no accident
_GRACE = 15.0  # seconds beyond the longest job until what still runs is killed


@dataclass
class _Child:
    process: ForkProcess | None = None
    started_at: float = 0.0
    starts_at: float = 0.0
    pause: float = _SOON
    quick_ends: int = 0
    is_done: bool = False


class Supervisor:
    """A number of processes that each serve all the queues: as long as the service runs, or until they are empty."""

    def __init__(
        self, told: Settings, queues: Sequence[str], *, processes: int, concurrency: int, burst: bool = False
    ) -> None:
        self._told, self._queues, self._concurrency, self._burst = told, tuple(queues), concurrency, burst
        self._children = [_Child() for _ in range(processes)]
        self._stop = threading.Event()
        self._signals = 0

    def run(self) -> int:
        """Until SIGTERM or SIGINT: the running jobs end, the rest stays queued. A second signal ends them at once.

        Gives 0, or 1 when a process did not end in time and was killed: its jobs come back by themselves."""
        for number in _ENDS:
            signal.signal(number, self._on_signal)
        logs.get().info("worker.started", queues=self._queues, pid=os.getpid())
        while not self._stop.is_set() and not all(child.is_done for child in self._children):
            for child in self._children:
                self._keep_alive(child)
            self._stop.wait(0.1)
        killed = self._end()
        logs.get().info("worker.stopped", killed=killed)
        return 1 if killed else 0

    def _keep_alive(self, child: _Child) -> None:
        now = time.monotonic()
        if child.is_done or (child.process is not None and child.process.is_alive()):
            return
        if child.process is not None:
            self._ended(child, child.process, now)
        if now >= child.starts_at and not child.is_done:
            what = (self._queues, self._concurrency, self._told, self._burst, os.getpid())
            child.process = _FORK.Process(target=_run_child, args=what)
            # Until it has handlers of its own it would take a signal for the supervisor's, and go on.
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
            try:
                child.process.start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
            child.started_at = now

    def _ended(self, child: _Child, process: ForkProcess, now: float) -> None:
        lived, child.process = now - child.started_at, None
        if self._burst and process.exitcode == 0:
            child.is_done = True
            return
        log = logs.get().bind(pid=process.pid, exit=process.exitcode, lived_s=round(lived, 1))
        if process.exitcode == REPLACE:
            log.info("worker.process_replaced")
        else:
            log.warning("worker.process_ended")
        child.quick_ends = 0 if lived > _LATEST else child.quick_ends + 1
        if child.quick_ends >= _TOO_OFTEN:
            log.error("worker.process_keeps_ending", times=child.quick_ends)
        child.pause = _SOON if lived > _LATEST else min(child.pause * 2, _LATEST)
        child.starts_at = now + child.pause

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self._signals += 1
        self._stop.set()
        if self._signals > 1:
            self._tell_all(signal.SIGTERM)

    def _end(self) -> int:
        """Gives how many had to be killed."""
        killed = 0
        deadline = time.monotonic() + self._told.job_timeout.total_seconds() + _GRACE
        self._tell_all(signal.SIGTERM)
        for child in self._children:
            if child.process is not None:
                child.process.join(max(0.0, deadline - time.monotonic()))
                if child.process.is_alive():
                    child.process.kill()
                    killed += 1
        return killed

    def _tell_all(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.process is not None and child.process.pid and child.process.is_alive():
                os.kill(child.process.pid, number)


def _run_child(queues: Sequence[str], concurrency: int, told: Settings, burst: bool, supervisor: int) -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
    os.setsid()  # Ctrl-C reaches the supervisor, which ends its children in order
    threading.Thread(target=_end_with, args=(supervisor,), daemon=True).start()
    work(queues, concurrency, told, burst=burst)


def _end_with(supervisor: int) -> None:
    """A supervisor that was killed cannot end its children: they notice, and end warmly by themselves."""
    while os.getppid() == supervisor:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
