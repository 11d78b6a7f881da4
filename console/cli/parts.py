"""What commands open: the database, and the queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from seamkeeper import settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seamkeeper.queues import Queues


@contextmanager
def open_database(told: settings.Settings | None = None) -> Iterator[Engine]:
    """The engine of DATABASE_URL."""
    from seamkeeper import database

    engine = database.open_engine((told or settings.load()).database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_queues(told: settings.Settings | None = None) -> Iterator[Queues]:
    """Our way to ask for work, at REDIS_URL."""
    from redis import Redis

    from seamkeeper.queues import Keys, Queues, Terms

    told = told or settings.load()
    redis = Redis.from_url(told.redis_url, socket_timeout=5, socket_connect_timeout=5)
    try:
        yield Queues(redis, keys=Keys(told.redis_key_prefix), terms=Terms(told.job_timeout, told.retry_delays))
    finally:
        redis.close()
