"""What ends a job from outside: its time-out, RQ's command to stop it, a process that grew too large.

The loop looks every half a second. A job that ends this way ends without its thread: what that brings later is not
written, and another thread takes its place.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.timeouts import JobTimeoutException
from rq.utils import current_timestamp

from workers.concurrent import finish
from workers.concurrent.run import Run
from workers.concurrent.sweep import note_end

TICK = 0.5  # seconds between looks, while jobs run
_STOP_KEPT = 5.0  # seconds for which a command to stop a job is remembered
Reason = Callable[[], str | None]


class Watch:
    """Looks at what runs in this worker."""

    def __init__(self, worker: Any, *, grace: float, retire: Reason | None, overflow: Reason | None) -> None:
        self._worker, self._grace = worker, grace
        self._retire, self._overflow = retire or _never, overflow or _never
        self._stops: deque[tuple[float, str | None, str | None]] = deque()  # when, job, execution: RQ's commands
        self._looked_at = 0.0

    def stop_job(self, job_id: str | None, execution_id: str | None) -> None:
        """RQ was told to stop this job. It may come a moment before the answer to the claim: remembered a while."""
        self._stops.append((time.monotonic(), job_id, execution_id))

    def look(self) -> None:
        """Called often; looks now and then."""
        at = time.monotonic()
        if at - self._looked_at < TICK:
            return
        self._looked_at = at
        for run in list(self._worker.running.values()):
            if self._is_to_stop(run):
                self._stop(run)
            elif at > run.ends_at + self._grace:
                words = f"The job ran longer than {run.seconds:.0f} seconds and did not end; its thread was given up"
                self._give_up(run, JobTimeoutException(words))
            elif at > run.ends_at:
                run.interrupt(JobTimeoutException)
        self._look_at_the_process()

    def _look_at_the_process(self) -> None:
        worker = self._worker
        why = f"{worker.hung} hanging threads" if worker.hung * 2 >= worker.concurrency else self._retire()
        if why:
            worker.stop(why)
        overflow = self._overflow() if worker.running else None
        if overflow:
            worker.stop(overflow)
            self._end_what_fills_the_memory(overflow)

    def _end_what_fills_the_memory(self, why: str) -> None:
        """A job alone in its process is the one. Of several nobody knows which: they are left as those of a killed
        worker, which the sweep brings back, in the end one at a time, and sets aside when it happens again."""
        worker, running = self._worker, list(self._worker.running.values())
        if len(running) == 1:
            self._give_up(running[0], MemoryError(f"{why}, and this job alone ran in it"))
            running[0].interrupt(MemoryError)  # only now: the thread would be quicker, and say it without these words
            return
        worker.running.clear()
        worker.executions.clear()  # no heartbeats any more
        worker.end_at_once()
        try:
            note_end(worker, why)
            with worker.connection.pipeline(transaction=False) as pipeline:
                for run in running:
                    pipeline.zadd(run.registry, {run.entry: current_timestamp() - 1}, xx=True)
                pipeline.execute()
        except RedisError as error:  # then the sweep finds them by their missing heartbeats
            worker.log.warning("Worker %s: Redis does not answer at the end: %s", worker.name, error)

    def _is_to_stop(self, run: Run) -> bool:
        while self._stops and self._stops[0][0] < time.monotonic() - _STOP_KEPT:
            self._stops.popleft()
        for asked in list(self._stops):
            if asked[1] == run.job.id and asked[2] in (None, run.execution.id):
                self._stops.remove(asked)
                return True
        return False

    def _stop(self, run: Run) -> None:
        """It ends as `stopped`, and is never retried."""
        if self._worker.take_from_thread(run):
            run.interrupt(StopRequested)
            self._worker._stopped_job_id = run.job.id
            finish.as_stopped(self._worker, run)

    def _give_up(self, run: Run, error: Exception) -> None:
        if self._worker.take_from_thread(run):
            run.raised = (type(error), error, None)
            finish.by_rqs_methods(self._worker, run)


def _never() -> None:
    return None
