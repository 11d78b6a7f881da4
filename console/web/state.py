"""What the pages read from, and what they say when it does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar, cast

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.requests import Request

from seamkeeper import database
from seamkeeper.settings import Settings

_PATIENCE = 2.0  # seconds; a page that waits longer helps nobody
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Console:
    """The connections of this process, opened by the lifespan."""

    settings: Settings
    engine: Engine
    redis: Redis

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to the database that only reads."""
        with database.reading(self.engine) as connection:
            yield connection


class State(TypedDict):
    """What the lifespan gives to each request."""

    console: Console
    live: Any  # live.Tail: who looks at what is new


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One part of a page: what was read, or the sentence that says why it could not be."""

    value: T | None = None
    problem: str | None = None


def open_console(settings: Settings) -> Console:
    """Connections for this process; nothing is sent before the first page asks."""
    redis = Redis.from_url(
        settings.redis_url,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 1),  # once: a connection that Redis closed while it idled
    )
    return Console(settings, database.open_engine(settings.database_url), redis)


def close_console(console: Console) -> None:
    """Ends the connections."""
    console.redis.close()
    console.engine.dispose()


def console_of(request: Request) -> Console:
    """The connections, as the lifespan left them."""
    return cast(Console, request.state.console)


def part(read: Callable[[], T]) -> Part[T]:
    """Reads one part of a page. A database or Redis that does not answer becomes a sentence, not an error page."""
    try:
        return Part(read())
    except SQLAlchemyError as error:
        return Part(problem=f"The database could not be read: {_in_short(error)}.")
    except (RedisError, OSError) as error:
        return Part(problem=f"Redis could not be read: {_first_line(error)}.")


def _in_short(error: SQLAlchemyError) -> str:
    """The driver's own words: SQLAlchemy adds the statement and its values, which are nobody's business here."""
    text = _first_line(error.orig) if isinstance(error, DBAPIError) and error.orig else _first_line(error)
    if "no such table" in text or "does not exist" in text:
        return f"{text}. In a new database, run `seamkeeper migrate` first"
    return text


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
