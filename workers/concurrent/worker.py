"""An RQ worker whose jobs run many at once, in threads of one process.

One loop speaks to Redis: in each round trip it writes what finished and takes as many new jobs as threads are free.
Without work it sleeps until a job stands in a queue (waiting.py) or one ends. What is written is what RQ 3.0 writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from queue import Empty, SimpleQueue
from typing import Any

from redis.exceptions import DataError, RedisError, ResponseError
from rq.command import parse_payload
from rq.version import VERSION
from rq.worker.base import BaseWorker, WorkerStatus

from workers.concurrent import finish
from workers.concurrent.claim import claim_call, give_back, give_back_unknown, paused, runs
from workers.concurrent.deadline import ThreadPenalty
from workers.concurrent.heartbeat import Every, Pulse
from workers.concurrent.run import Crew, Run
from workers.concurrent.scripts import FOR_RQ, travel
from workers.concurrent.sweep import sweep
from workers.concurrent.waiting import Waiter
from workers.concurrent.watch import TICK, Reason, Watch

_LIVES = 30  # seconds without a heartbeat until a job's worker is taken for dead; RQ's own is 60 and more
_BEATS = 6  # heartbeats in that time
_LONGEST_SLEEP = 5.0  # seconds between looks at memory and age, while nothing runs
_PATIENCE = 10.0  # seconds a worker that was told to end waits for a Redis that is away

try:
    _VERSION = version("seamkeeper")
except PackageNotFoundError:  # run from a checkout that was never installed
    _VERSION = "unknown"

SetAside = Callable[[Any, str], None]


def check_rq() -> None:
    """Raises `ValueError` on an RQ whose keys may be others."""
    if not VERSION.startswith("3.0."):
        raise ValueError(f"RQ {VERSION} is installed; this worker writes the keys of RQ 3.0: install rq>=3.0,<3.1.")


class ConcurrentWorker(BaseWorker):
    """`work()` as RQ's. Raises `ValueError` on an RQ that it does not know.

    `grace`: seconds after a job's time-out until its thread is given up. `lives`: seconds without a heartbeat until its
    jobs are taken for abandoned. `retire`: asked now and then; words mean that the process shall be replaced, and why.
    `overflow`: likewise, and what runs is not waited for. `set_aside`: told of each job that stands in the failed
    registry now, and why, after that was written.
    """

    death_penalty_class = ThreadPenalty

    def __init__(
        self, queues: Any, *, concurrency: int = 32, grace: float = 5.0, lives: int = _LIVES,
        retire: Reason | None = None, overflow: Reason | None = None, set_aside: SetAside | None = None, **options: Any,
    ) -> None:  # fmt: skip
        check_rq()
        super().__init__(queues, **options)
        self.lives, self.concurrency, self.is_to_be_replaced = lives, concurrency, False
        self._set_aside = set_aside
        self._watch = Watch(self, grace=grace, retire=retire, overflow=overflow)
        self._crew = Crew(concurrency, self._perform)
        self._inbox: SimpleQueue[Run | None] = SimpleQueue()  # None wakes the loop
        self.running: dict[str, Run] = {}  # who takes a run out of it writes its end
        self._finished: list[Run] = []  # plain ones whose end is not written yet
        self._busy = self.hung = self._done = 0
        self._may_have_work, self._is_cold, self._was_away = True, False, False
        self._told_at = 0.0
        self._paused: frozenset[str] = frozenset()  # as of the last claim
        self.registries = [queue.started_job_registry for queue in self.queues]
        self._waiters = [Waiter(self.connection, queue.key, self._wake) for queue in self.queues]

    def work(self, burst: bool = False, logging_level: str | None = None, **_options: Any) -> bool:  # type: ignore[override]
        """Until SIGTERM or SIGINT, with `burst` until the queues are empty; True when a job was run."""
        if threading.current_thread() is threading.main_thread():
            self._install_signal_handlers()  # type: ignore[no-untyped-call]
        self.bootstrap(logging_level)
        period, pulse = float(self.maintenance_interval), Pulse(self, lives=self.lives)
        helpers: list[Any] = [
            *self._waiters,
            Every(self.lives / _BEATS, pulse.beat, name="heartbeat"),
            Every(period, lambda: sweep(self, period=period, is_steady=pulse.is_steady), name="sweep"),
            self._crew,
        ]
        try:
            for helper in helpers:
                helper.start()
            while self._turn(burst):
                pass
        finally:
            for helper in helpers:
                helper.end()
            self._end()
        return self._done > 0

    def request_stop(self, signum: int, frame: Any) -> None:
        """The first signal: what runs ends, nothing new begins. A second one, a second later: back into the queue."""
        if self._told_at and time.monotonic() - self._told_at > 1:
            self._is_cold = True
        self._told_at = self._told_at or time.monotonic()
        self._stop_requested = True
        self._wake()

    def handle_payload(self, message: Any) -> None:
        """RQ's commands, in a thread of RQ's; `stop-job` for any of the jobs that run here."""
        payload = parse_payload(message)
        if payload["command"] not in ("stop-job", "stop-execution"):
            super().handle_payload(message)  # type: ignore[no-untyped-call]
            return
        self._watch.stop_job(payload.get("job_id"), payload.get("execution_id"))
        self._wake()

    def serialize(self) -> dict[str, Any]:
        """With our version beside RQ's: during an upgrade the console tells the old from the new."""
        return {**super().serialize(), "seamkeeper_version": _VERSION}

    def _set_connection(self, connection: Any) -> Any:
        return connection  # RQ would raise its time-out to that of a blocking pop, which this loop never does

    def _wake(self) -> None:
        self._inbox.put(None)

    # The loop

    def _turn(self, burst: bool) -> bool:
        """One round; False at the end."""
        self._watch.look()
        try:
            is_short = self._travel()
        except (ResponseError, DataError) as error:
            self._write_one_by_one(error)
            return True
        except (RedisError, OSError) as error:
            return self._wait_for_redis(error)
        is_suspended = self.get_state() == WorkerStatus.SUSPENDED
        is_enough = self._stop_requested or (burst and (is_suspended or not self._may_have_work))
        if self._is_cold or (is_enough and not self._busy and not self._finished):
            return False
        if is_short and not is_suspended:  # a job that must not be taken would wake the loop again and again
            for queue, waiter in zip(self.queues, self._waiters, strict=True):
                if queue.name not in self._paused:  # likewise; a paused queue is looked at with every tick
                    waiter.arm()
        is_hungry = self._may_have_work and self._busy < self._crew.size
        self._gather(now_or_never=is_hungry and not is_suspended and not self._stop_requested)
        return True

    def _travel(self) -> bool:
        """Writes the finished, takes new ones: one round trip. True when fewer jobs came than would have fitted."""
        if self._was_away:
            give_back_unknown(self)
            self._was_away = False
        wanted = self._crew.size - self._busy
        if self._stop_requested or not self._may_have_work:
            wanted = 0
        commits = finish.commits(self, self._finished)
        calls = [call for call, _ in commits]
        if wanted:
            calls.append(claim_call(self, wanted, lives=self.lives))
        answers = travel(self.connection, calls) if calls else []
        claimed = self._after_claim(answers[-1], wanted) if wanted else 0
        self._finished = []
        for (_, runs_of_call), verdicts in zip(commits, answers, strict=False):
            self._after_commit(runs_of_call, verdicts)
        return claimed < wanted

    def _after_commit(self, finished: list[Run], verdicts: list[int]) -> None:
        for run, verdict in zip(finished, verdicts, strict=True):
            if verdict == FOR_RQ:
                finish.with_dependents(self, run)
                self._may_have_work = True
            self.executions.pop(run.execution.id, None)

    def _write_one_by_one(self, error: Exception) -> None:
        """Redis refused something (out of memory, a value it cannot hold): nothing of it may stop the others."""
        self.log.error("Worker %s: Redis refused: %s", self.name, error)
        finished, self._finished = self._finished, []
        for run in finished:
            finish.by_rqs_methods(self, run)
        time.sleep(TICK)
        self._may_have_work = self._was_away = True  # what was claimed in the same trip goes back

    def _after_claim(self, answer: Any, wanted: int) -> int:
        if answer is None:
            self._set_state_once(WorkerStatus.SUSPENDED)
            return 0
        claimed, self._paused = runs(self, answer), paused(self, answer)
        self._may_have_work = len(claimed) == wanted
        for run in claimed:
            self.executions[run.execution.id] = run.execution
            self.running[run.execution.id] = run
            self._busy += 1
            self._crew.give(run)
        self._set_state_once(WorkerStatus.BUSY if self._busy else WorkerStatus.IDLE)
        return len(claimed)

    def _gather(self, *, now_or_never: bool) -> None:
        """Waits until something happened, and takes in all of it."""
        try:
            longest = TICK if self._needs_ticks() else _LONGEST_SLEEP
            self._take_in(self._inbox.get(block=not now_or_never, timeout=longest))
            while True:
                self._take_in(self._inbox.get_nowait())
        except Empty:
            self._may_have_work = self._may_have_work or bool(self._paused)  # perhaps somebody resumed them

    def _needs_ticks(self) -> bool:
        is_held = self._paused or self.get_state() == WorkerStatus.SUSPENDED
        return bool(self._busy or self._stop_requested or is_held)

    def _take_in(self, run: Run | None) -> None:
        self._may_have_work = True
        if run is None:
            return
        if run.was_given_up:  # its end was written long ago; the thread that replaced it stays
            self.hung -= 1
            return
        self._busy -= 1
        self._done += 1
        if self._is_mine(run):
            self._finished.append(run)

    def _is_mine(self, run: Run) -> bool:
        """True for the first who asks: that one writes the end."""
        return self.running.pop(run.execution.id, None) is not None

    def _set_state_once(self, state: str) -> None:
        """The claim itself writes `busy`."""
        if state == WorkerStatus.BUSY:
            self._state = state
        elif self.get_state() != state:
            self.set_state(state)

    def _wait_for_redis(self, error: Exception) -> bool:
        """Redis is away: jobs that run go on, their ends are kept. False when it is too long for one that shall end."""
        if not self._was_away:
            self.log.warning("Worker %s: Redis does not answer: %s", self.name, error)
        self._was_away = self._may_have_work = True
        time.sleep(0.2)
        self._gather(now_or_never=True)
        return not (
            self._is_cold or (self._told_at and not self._busy and time.monotonic() - self._told_at > _PATIENCE)
        )

    # In a thread of the crew

    def _perform(self, run: Run) -> None:
        if run.raised is None:
            run.perform()
        if not finish.prepare(self, run) and self._is_mine(run):
            finish.by_rqs_methods(self, run)
        self._inbox.put(run)

    # For the sweep and those who write ends

    def tell_set_aside(self, job: Any, reason: str) -> None:
        """This job failed for good. Whoever wants to know that must not stop the worker."""
        if self._set_aside is None:
            return
        try:
            self._set_aside(job, reason)
        except Exception:
            self.log.exception("Worker %s: nobody was told of the failed job %s", self.name, job.id)

    # For the watch

    def stop(self, why: str) -> None:
        """This process shall be replaced: as after a first SIGTERM."""
        if not self._stop_requested:
            self.log.warning("Worker %s: this process shall be replaced: %s", self.name, why)
            self._stop_requested = self.is_to_be_replaced = True

    def end_at_once(self) -> None:
        """As after a second SIGTERM."""
        self._is_cold = True

    def take_from_thread(self, run: Run) -> bool:
        """The job ends without its thread: what this brings later is not written, and another takes its place."""
        if not self._is_mine(run):
            return False
        run.was_given_up = True
        self._busy -= 1
        self.hung += 1
        self._crew.replace()
        return True

    def _end(self) -> None:
        try:
            if self.running:
                back = give_back(self, list(self.running.values()))
                self.log.warning("Worker %s: %d running jobs are back in their queues", self.name, back)
            self.register_death()  # type: ignore[no-untyped-call]
            self.unsubscribe()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            self.log.warning("Worker %s: Redis does not answer at the end: %s", self.name, error)
