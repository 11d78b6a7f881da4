"""How many events came, and how many tries failed, minute by minute of the last hour? Both reads are bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, cast, func, select

from seamkeeper.database import attempts, events

MINUTES = 60
_NEWEST = 20_000  # tries that are looked at; no index leads to them by their time, and their numbers grow with it


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries that ended in the last hour: all, those that come again, those that were given up, and the failed ones of
    each minute, oldest first."""

    ended: int
    again: int
    dead: int
    failed_per_minute: list[int]

    @property
    def share(self) -> float:
        """Of failed ones, 0 to 1."""
        return (self.again + self.dead) / self.ended if self.ended else 0.0


def received(connection: Connection, now: datetime) -> list[int]:
    """Events by the minute in which they came, oldest first."""
    since = now - timedelta(minutes=MINUTES)
    minute = _minute(connection, events.c.received_at).label("minute")
    is_new = events.c.received_at >= since
    rows = connection.execute(select(minute, func.count().label("number")).where(is_new).group_by(minute))
    return _in_order({row.minute: row.number for row in rows}, now)


def tries(connection: Connection, now: datetime) -> Tries:
    """Of events, changes and users; what was only postponed failed not."""
    table = attempts.c
    newest = select(table.started_at, table.outcome).order_by(table.attempt_id.desc()).limit(_NEWEST).subquery()
    minute = _minute(connection, newest.c.started_at).label("minute")
    query = select(minute, newest.c.outcome, func.count().label("number"))
    query = query.where(newest.c.started_at >= now - timedelta(minutes=MINUTES)).group_by(minute, newest.c.outcome)
    rows = connection.execute(query).all()
    by_outcome = {each: sum(row.number for row in rows if row.outcome == each) for each in ("ok", "retry", "dead")}
    failed: dict[int, int] = {}
    for row in rows:
        if row.outcome in ("retry", "dead"):
            failed[row.minute] = failed.get(row.minute, 0) + row.number
    return Tries(sum(by_outcome.values()), by_outcome["retry"], by_outcome["dead"], _in_order(failed, now))


def _minute(connection: Connection, column: ColumnElement[Any]) -> ColumnElement[int]:
    """Of the epoch."""
    if connection.dialect.name == "sqlite":
        return cast(func.strftime("%s", column), Integer) // 60
    return cast(func.floor(func.extract("epoch", column) / 60), Integer)


def _in_order(numbers: Mapping[int, int], now: datetime) -> list[int]:
    last = int(now.timestamp() // 60)
    return [int(numbers.get(minute, 0)) for minute in range(last - MINUTES + 1, last + 1)]
