"""One worker process: a stock RQ worker on one queue, its maintenance often enough.

One queue each, because a stock worker that listens to several loses the job it was popping when it is killed; RQ's own
maintenance every 600 s brings a killed job back after up to 27 minutes (docs/queue.md).
"""

from __future__ import annotations

import logging

from redis import Redis
from rq import Worker
from rq.serializers import JSONSerializer

from seamkeeper import logs
from seamkeeper.settings import Settings

_WORKER_TTL = 30  # seconds; a worker without work wakes after half of it and looks for abandoned jobs
_HEARTBEAT = 5  # seconds between a running job's heartbeats; its worker is taken for dead 60 s after the last


def work(queue: str, told: Settings) -> None:
    """Runs jobs of one queue until SIGTERM; also returns when Redis goes away: the supervisor starts it again."""
    logs.configure(told.log_format)
    logging.getLogger("rq.worker").addFilter(_is_not_a_failed_job)
    worker = Worker(
        [queue],
        connection=Redis.from_url(told.redis_url, socket_connect_timeout=5),
        serializer=JSONSerializer,
        worker_ttl=_WORKER_TTL,
        job_monitoring_interval=_HEARTBEAT,
        maintenance_interval=int(told.maintenance.total_seconds()),
        log_job_description=False,
    )
    worker.work(logging_level="WARNING")


def _is_not_a_failed_job(record: logging.LogRecord) -> bool:
    """A failed job has a line of ours with its reason (workers/failures.py); RQ's traceback would say it again."""
    return "exception raised while executing" not in str(record.msg)
