"""What commands open: the database, and the queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console.cli.failing import CannotReach
from seamkeeper import settings
from seamkeeper.errors import ConfigurationError

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy import Engine

    from seamkeeper.queues import Queues


@contextmanager
def open_database(told: settings.Settings | None = None) -> Iterator[Engine]:
    """The engine of DATABASE_URL."""
    from sqlalchemy.exc import ArgumentError

    from seamkeeper import database

    told = told or settings.load()
    try:
        engine = database.open_engine(told.database_url)
    except (ValueError, ArgumentError):  # without its words: they may hold the password
        raise ConfigurationError(["DATABASE_URL is no address: look at the port and at unusual characters."]) from None
    except OSError as error:
        raise CannotReach(f"The folder of DATABASE_URL cannot be used: {error}") from error
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_queues(told: settings.Settings | None = None) -> Iterator[Queues]:
    """Our way to ask for work, at REDIS_URL."""
    from seamkeeper.keys import Keys
    from seamkeeper.queues import Queues
    from seamkeeper.rqjob import Terms

    told = told or settings.load()
    with open_redis(told, patience=5) as redis:
        yield Queues(redis, keys=Keys(told.redis_key_prefix), terms=Terms(told.job_timeout, told.retry_delays))


@contextmanager
def open_redis(told: settings.Settings, *, patience: float) -> Iterator[Redis]:
    """A client of REDIS_URL that waits `patience` seconds for an answer, and asks once: a person waits for it."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    try:
        redis = Redis.from_url(told.redis_url, socket_timeout=patience, socket_connect_timeout=patience, retry=once)
        redis.connection_pool.connection_class(**redis.connection_pool.connection_kwargs)  # finds unknown options
    except (ValueError, TypeError):
        raise ConfigurationError(["REDIS_URL is no address: look at the port and at what follows a ?."]) from None
    try:
        yield redis
    finally:
        redis.close()
