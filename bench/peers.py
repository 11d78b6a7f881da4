"""The same no-op in other queues: `python -m bench.peers NAME fill URL COUNT`, or `NAME work URL`.

Runs in a virtual environment of its own (`make bench` makes it): arq wants an older Redis client than this product.
Each is set up as its manual says for one process, and keeps what it keeps by itself; RQ keeps results and registries.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

_THREADS = 8  # dramatiq's own default


def dramatiq(what: str, url: str, count: int) -> None:
    """One worker with its own number of threads."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)
    nothing = dramatiq.actor(_nothing, actor_name="nothing")
    if what == "fill":
        for _ in range(count):
            nothing.send()
        return
    worker = dramatiq.Worker(broker, worker_threads=_THREADS)
    worker.start()
    worker.join()
    _for_ever()


def arq(what: str, url: str, count: int) -> None:
    """Its own poll delay of half a second would be all that is measured: it takes 100 jobs each time."""
    from arq import create_pool, func, run_worker
    from arq.connections import RedisSettings

    settings = RedisSettings.from_dsn(url)

    async def fill() -> None:
        pool = await create_pool(settings)
        for _ in range(count):
            await pool.enqueue_job("nothing")
        await pool.aclose()

    async def nothing(_context: Any) -> None:
        return

    if what == "fill":
        asyncio.run(fill())
        return
    asyncio.set_event_loop(asyncio.new_event_loop())
    found = {"functions": [func(nothing, name="nothing")], "redis_settings": settings, "max_jobs": 100}
    run_worker(type("Settings", (), found), poll_delay=0.005)


def celery(what: str, url: str, count: int) -> None:
    """The pool that runs jobs in the worker's own process."""
    from celery import Celery

    app = Celery("bench", broker=url.replace("unix://", "redis+socket://"))
    nothing = app.task(name="nothing")(_nothing)
    if what == "fill":
        for _ in range(count):
            nothing.delay()
        return
    app.worker_main(["worker", "--pool", "solo", "--loglevel", "ERROR", "--without-gossip", "--without-mingle"])


def _nothing() -> None:
    return


def _for_ever() -> None:
    import threading

    threading.Event().wait()


if __name__ == "__main__":
    name, what, url, *count = sys.argv[1:]
    {"dramatiq": dramatiq, "arq": arq, "celery": celery}[name](what, url, int(count[0]) if count else 0)
