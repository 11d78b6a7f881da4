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
from workers.concurrent.worker import ConcurrentWorker

_WORKER_TTL = 30  # seconds; RQ adds 60 until the key of a silent worker is gone
_SPARE_CONNECTIONS = 50  # beside one per job: waiting, heartbeats, sweep, RQ's commands


def work(queues: Sequence[str], concurrency: int, told: Settings) -> None:
    """Runs jobs of these queues, the first queue first, until SIGTERM or until it is time for a fresh
    process, which the supervisor starts."""
    logs.configure(told.log_format)
    logging.getLogger("rq.worker").addFilter(_is_not_a_failed_job)
    redis = Redis.from_url(
        told.redis_url,
        socket_connect_timeout=5,
        socket_timeout=15,
        max_connections=concurrency * 2 + _SPARE_CONNECTIONS,
        retry=Retry(NoBackoff(), 0),  # the worker has its own way back: a repeated command may act twice
    )
    worker = ConcurrentWorker(
        list(queues),
        concurrency=concurrency,
        retire=_Age(told).reason,
        connection=redis,
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL,
        maintenance_interval=int(told.maintenance.total_seconds()),
        log_job_description=False,
    )
    worker.work(logging_level="WARNING")
    logging.shutdown()
    os._exit(0)  # threads that hang in a job must not keep the process; nothing else is open


class _Age:
    """Why this process shall be replaced: memory that Python does not give back, or sheer age."""

    def __init__(self, told: Settings) -> None:
        self._until = time.monotonic() + told.worker_lifetime.total_seconds()
        self._most = told.worker_memory_mib

    def reason(self) -> str | None:
        """Words for the log, or None."""
        if time.monotonic() > self._until:
            return "its time is over"
        used = _resident_mib()
        return f"{used} MiB of memory" if used > self._most else None


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
