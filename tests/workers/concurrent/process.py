"""Our worker as a process: `python -m tests.workers.concurrent.process URL QUEUES CONCURRENCY LIVES MIB`."""

from __future__ import annotations

import os
import sys
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.serializers import JSONSerializer

from seamkeeper.settings import Settings
from tests.workers.concurrent import jobs  # noqa: F401 (the first job shall not wait for the import)
from workers.concurrent.worker import ConcurrentWorker
from workers.process import Limits


class _Worker(ConcurrentWorker):
    def request_stop(self, signum: int, frame: Any) -> None:
        """And tells the test that the signal has arrived: two that come at once are one."""
        super().request_stop(signum, frame)
        os.write(2, b"told to end\n")  # not `print`: it may stand in the middle of one


def main() -> None:
    """Until it is told to end, or killed."""
    url, queues, concurrency, lives, memory = sys.argv[1:]
    limits = Limits(Settings(worker_memory_mib=int(memory)))
    worker = _Worker(
        queues.split(","),
        concurrency=int(concurrency),
        lives=int(lives),
        grace=1.0,
        retire=limits.retire,
        overflow=limits.overflow,
        connection=Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=10),
        serializer=JSONSerializer,
        maintenance_interval=2,
        worker_ttl=30,
        log_job_description=False,
    )
    worker.work(logging_level="WARNING")
    os._exit(0)


if __name__ == "__main__":
    main()
