"""One worker process: jobs of all queues, many at once in threads (workers/concurrent), until it is ended or old."""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.serializers import JSONSerializer

from seamkeeper import logs
from seamkeeper.settings import Settings
from workers import letters
from workers.concurrent.worker import ConcurrentWorker
from workers.tools import tools_of_this_process

_WORKER_TTL = 30  # seconds; RQ adds 60 until the key of a silent worker is gone
_SPARE_CONNECTIONS = 50  # beside one per job: waiting, heartbeats, sweep, RQ's commands


REPLACE = 3  # exit code: not told to end, but too old or too large


def work(queues: Sequence[str], concurrency: int, told: Settings, *, burst: bool = False) -> None:
    """Runs jobs of these queues, the first queue first, until SIGTERM, with `burst` until there are none. Ends the
    process: with 0, or with `REPLACE` when it is time for a fresh one, which the supervisor starts."""
    logs.configure(told.log_format)
    logging.getLogger("rq.worker").addFilter(_is_not_a_failed_job)
    redis = Redis.from_url(
        told.redis_url,
        socket_connect_timeout=5,
        socket_timeout=15,
        max_connections=concurrency * 2 + _SPARE_CONNECTIONS,
        retry=Retry(NoBackoff(), 0),  # the worker has its own way back: a repeated command may act twice
    )
    limits = Limits(told)
    worker = ConcurrentWorker(
        list(queues),
        concurrency=concurrency,
        retire=limits.retire,
        overflow=limits.overflow,
        set_aside=lambda job, reason: letters.set_aside(tools_of_this_process, job, reason),
        connection=redis,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL,
        maintenance_interval=int(told.maintenance.total_seconds()),
        log_job_description=False,
    )
    worker.work(burst=burst, logging_level="WARNING")
    logging.shutdown()
    os._exit(REPLACE if worker.is_to_be_replaced else 0)  # threads that hang in a job must not keep the process


class Limits:
    """Why this process shall be replaced: memory that Python does not give back, or sheer age."""

    def __init__(self, told: Settings) -> None:
        self._until = time.monotonic() + told.worker_lifetime.total_seconds()
        self._most = told.worker_memory_mib

    def retire(self) -> str | None:
        """Words for the log, or None."""
        if time.monotonic() > self._until:
            return "its time is over"
        used = _resident_mib()
        return f"{used} MiB of memory" if used > self._most else None

    def overflow(self) -> str | None:
        """The same at twice the limit: a job is eating it, and nobody can wait for its end."""
        used = _resident_mib()
        if used <= self._most * 2:
            return None
        return f"its process took {used} MiB of memory, more than twice SEAMKEEPER_WORKER_MEMORY_MIB ({self._most})"


def _resident_mib() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() >> 20
    except OSError:  # no /proc: the most it ever had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak >> (20 if sys.platform == "darwin" else 10)


def _is_not_a_failed_job(record: logging.LogRecord) -> bool:
    """A failed job has a line of ours with its reason (workers/failures.py); RQ's traceback would say it again."""
    return "exception raised while executing" not in str(record.msg)
