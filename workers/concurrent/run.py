"""One job on its way through this process, and the threads it may run in."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.registry import StartedJobRegistry

from workers.concurrent import deadline
from workers.concurrent.scripts import Unit

Raised = tuple[type[BaseException], BaseException, TracebackType | None]


@dataclass(eq=False, slots=True)
class Run:
    """A claimed job, then what came of it: `value`, or `raised`."""

    job: Job
    queue: Queue
    execution: Execution
    started_job_registry: StartedJobRegistry
    seconds: float  # RQ's job timeout; infinite when there is none
    index: int = 0  # of its queue among the worker's
    ends_at: float = 0.0
    value: Any = None
    raised: Raised | None = None
    line: Sequence[Any] = ()  # how a plain end is written: its part of the call of FINISH,
    unit: Unit | None = None  # or RQ's commands, when the function changed its job
    as_claimed: dict[str, Any] = field(default_factory=dict)  # the attributes of the job before it ran
    was_given_up: bool = False
    _thread: int | None = None
    _told: type[BaseException] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def entry(self) -> str:
        """Its member of RQ's started registry."""
        return str(self.execution.composite_key)

    @property
    def registry(self) -> str:
        """The key of RQ's started registry it stands in."""
        return str(self.started_job_registry.key)

    def perform(self) -> None:
        """Runs the job's function in this thread, in a context of its own; nothing is raised."""
        Context().run(self._perform)

    def interrupt(self, kind: type[BaseException]) -> None:
        """Raises this inside the job, once, if it runs: never in what the thread does after it."""
        with self._lock:
            if self._thread is not None and self._told is None:
                self._told = kind
                deadline.raise_in_thread(self._thread, kind)

    def _perform(self) -> None:
        try:
            try:
                with self._lock:
                    self._thread = threading.get_ident()
                with deadline.until(self.ends_at):
                    self.value = self.job.perform()
            finally:
                self._leave()
        except BaseException as error:  # `sys.exit()` in a job is a failure of the job, not of the worker
            self.raised = (type(error), error, sys.exc_info()[2])

    def _leave(self) -> None:
        with self._lock:
            self._thread = None
            if self._told is not None:
                deadline.raise_in_thread(threading.get_ident(), None)


class Crew:
    """Threads that take runs from one line. They are daemons: a job that hangs must not keep the process."""

    def __init__(self, size: int, work: Callable[[Run], None]) -> None:
        self._work, self.size = work, size
        self._line: SimpleQueue[Run | None] = SimpleQueue()

    def start(self) -> None:
        """All threads at once: they cost little while they wait."""
        for _ in range(self.size):
            self._add()

    def give(self, run: Run) -> None:
        """The next free thread runs it; its time begins now."""
        run.ends_at = time.monotonic() + run.seconds
        self._line.put(run)

    def replace(self) -> None:
        """One more thread, for one that hangs and will end when it comes back."""
        self._add()

    def end(self) -> None:
        """The threads that wait end."""
        for _ in range(self.size):
            self._line.put(None)

    def _add(self) -> None:
        threading.Thread(target=self._take, name="job", daemon=True).start()

    def _take(self) -> None:
        while (run := self._line.get()) is not None:
            self._work(run)
            if run.was_given_up:
                return
