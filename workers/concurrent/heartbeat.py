"""Who lives? One thread says it for the worker and for all the jobs it runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError
from rq import worker_registration
from rq.utils import now

from workers.concurrent.scripts import Unit, recorded, recorder, settle_call, travel

_log = logging.getLogger("rq.worker")


class Every:
    """Does something every so many seconds in a thread of its own, whatever happens, until it is ended."""

    def __init__(self, seconds: float, do: Callable[[], object], *, name: str) -> None:
        self._seconds, self._do, self._name = seconds, do, name
        self._is_over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def end(self) -> None:
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.wait(self._seconds):
            try:
                self._do()
            except RedisError as error:
                _log.warning("%s: Redis: %s", self._name, error)
            except Exception:
                _log.exception("%s", self._name)


class Pulse:
    """Whether heartbeats came through lately. After a Redis that was frozen or away everybody's are old: who sweeps at
    once would take the jobs of the living."""

    def __init__(self, worker: Any, *, lives: int) -> None:
        self._worker, self._lives = worker, lives
        self._last, self._steady_since = time.monotonic(), 0.0

    def beat(self) -> None:
        """One heartbeat."""
        _beat(self._worker, lives=self._lives)
        at = time.monotonic()
        if at - self._last > self._lives / 2:
            self._steady_since = at
        self._last = at

    def is_steady(self) -> bool:
        """True when the others have had time for theirs."""
        at = time.monotonic()
        return at - self._last <= self._lives / 2 and at - self._steady_since >= self._lives / 2


def _beat(worker: Any, *, lives: int) -> None:
    """A heartbeat of the worker and of every execution that still stands in the started registry.

    Written only if it stands there: a plain HSET after the job's end would bring its deleted hash back (rq#1450).
    """
    units = [_unit(worker, execution, lives) for execution in list(worker.executions.values())]
    if units:
        travel(worker.connection, [settle_call(units)])
    with worker.connection.pipeline() as pipeline:
        worker.heartbeat(pipeline=pipeline)
        is_new, *_ = pipeline.execute()
    if is_new:  # the hash had expired, or Redis was emptied
        with worker.connection.pipeline() as pipeline:
            pipeline.hset(worker.key, mapping=worker.serialize())
            worker_registration.register(worker, pipeline)
            pipeline.expire(worker.key, worker.worker_ttl + 60)
            pipeline.execute()


def _unit(worker: Any, execution: Any, lives: int) -> Unit:
    pipeline, registry = recorder(worker.connection), execution.job.started_job_registry
    execution.heartbeat(registry, lives, pipeline)
    execution.job.heartbeat(now(), lives, pipeline=pipeline, xx=True)
    return Unit(registry.key, execution.composite_key, recorded(pipeline))
