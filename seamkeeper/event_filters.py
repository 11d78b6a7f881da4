"""Which events fit a filter, newest first: found by the one index that leads to the fewest.

Every filter has an index of its own that ends with (received_at, event_id). Of several filters the one with the fewest
events is entered and the others are looked at on the way: in the columns behind the place in the indexes by type,
system, source and tries, so that walking over what does not fit reads no rows. SQLite chooses by the order of the
filters unless it is told; PostgreSQL has its statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    tuple_,
)

from seamkeeper.database import events
from seamkeeper.user_filters import found_by

Place = tuple[datetime, str]  # (received_at, event_id) of the last event seen

WEBHOOK = "webhook"  # the source of nearly every event
_MOST_USERS = 100
_MOST_DELIVERED = 100
_ENOUGH = 10_000  # counted so far, an index is as good as the next one
_DELIVERY = "msg_"

# Of filters that all have very many events, the first. Behind the place in their indexes stand the other columns; not
# so by user and by status.
_ORDER = ("tries", "source", "event_type", "acs_system_id", "acs_user_id", "status")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None is any. `search`: an event_id, a svix-id (`msg_…`), an acs_user_id, or the beginning of
    a user's name, e-mail address or telephone number (of at most 100 users). `since` is met by events received at that
    moment, `until` is not. `is_whole`: people are found by whole words only."""

    status: str | None = None
    event_type: str | None = None
    acs_user_id: str | None = None
    acs_system_id: str | None = None
    source: str | None = None
    search: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tries_at_least: int | None = None
    is_whole: bool = False


def newest(connection: Connection, wanted: Wanted, *, before: Place | None, limit: int) -> list[str]:
    """The ids of the newest that fit, behind a place."""
    return [row.event_id for row in connection.execute(_ids(connection, wanted, before).limit(limit))]


def count(connection: Connection, wanted: Wanted, *, at_most: int) -> int:
    """How many fit; counting ends at `at_most`, so that a large number costs no more."""
    some = _ids(connection, wanted, None).limit(at_most).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _ids(connection: Connection, wanted: Wanted, before: Place | None) -> Select[Any]:
    named = found_named(connection, wanted.search, is_whole=wanted.is_whole)
    filters = _filters(wanted)
    is_sqlite = connection.dialect.name == "sqlite"
    if named is None:
        first = _fewest(connection, filters, _between(wanted, before)) if is_sqlite else ""
        by = [events.c.received_at.desc(), events.c.event_id.desc()]
    else:  # a handful: they are sorted, and no order may lead a planner to all the others
        first = ""
        by = [func.coalesce(events.c.received_at, events.c.received_at).desc(), events.c.event_id.desc()]
    conditions = [
        clause(column if name == first or not is_sqlite else _aside(column))
        for name, (column, clause) in filters.items()
    ]
    if wanted.source == WEBHOOK:
        conditions.append(events.c.source == WEBHOOK)
    conditions.append(_between(wanted, before))
    return select(events.c.event_id).where(true() if named is None else named, *conditions).order_by(*by)


def _filters(wanted: Wanted) -> dict[str, Any]:
    """Name -> the column, and what is asked of it."""
    found: dict[str, Any] = {}
    for name in ("status", "event_type", "acs_user_id", "acs_system_id"):
        value = getattr(wanted, name)
        if value is not None:
            found[name] = events.c[name], _equals(value)
    if wanted.source not in (None, WEBHOOK):
        found["source"] = events.c.source, _equals_in(wanted.source, text("source <> 'webhook'"))
    if wanted.tries_at_least is not None and wanted.tries_at_least > 1:
        found["tries"] = events.c.tries, _at_least(wanted.tries_at_least)
    return found


def _equals(value: str) -> Any:
    return lambda column: column == value


def _equals_in(value: str | None, part: Any) -> Any:
    """The words of the partial index, letter by letter: that is how a planner knows it."""
    return lambda column: and_(column == value, part)


def _at_least(tries: int) -> Any:
    def clause(column: Any) -> ColumnElement[bool]:
        return and_(text("tries >= 2"), column >= tries) if column is events.c.tries else column >= tries

    return clause


def _aside(column: Any) -> ColumnElement[Any]:
    """The same value, to SQLite no way into an index (sqlite.org/optoverview.html, 1.2)."""
    return literal_column(f"+{events.name}.{column.name}", column.type)


def _between(wanted: Wanted, before: Place | None) -> ColumnElement[bool]:
    conditions = []
    if wanted.since is not None:
        conditions.append(events.c.received_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(events.c.received_at < wanted.until)
    if before is not None:
        # a row value, not an OR: the index is then entered at this place instead of being read from its start
        conditions.append(tuple_(events.c.received_at, events.c.event_id) < place(before))
    return and_(true(), *conditions)


def place(last: Place) -> Any:
    """A place as the database compares it."""
    return tuple_(literal(last[0], events.c.received_at.type), literal(last[1], events.c.event_id.type))


def _fewest(connection: Connection, filters: dict[str, Any], between: ColumnElement[bool]) -> str:
    """The filter with the fewest events. Each is counted in its own index, and not very far."""
    names = [name for name in _ORDER if name in filters]
    if len(names) < 2:
        return names[0] if names else ""
    counts = []
    for name in names:
        column, clause = filters[name]
        some = select(literal(1)).select_from(events).where(clause(column), between).limit(_ENOUGH).subquery()
        counts.append(select(func.count()).select_from(some).scalar_subquery())
    found = connection.execute(select(*counts)).one()
    return min(zip(found, range(len(names)), names, strict=True))[2]


def found_named(connection: Connection, search: str | None, *, is_whole: bool = False) -> ColumnElement[bool] | None:
    """The events that a search names: at most a handful of ids, or those of some users."""
    if search is None:
        return None
    if search.startswith(_DELIVERY):
        query = select(events.c.event_id).where(events.c.delivery_id == search).limit(_MOST_DELIVERED)
        return events.c.event_id.in_(connection.execute(query).scalars().all())
    if connection.execute(select(events.c.event_id).where(events.c.event_id == search)).first():
        return events.c.event_id == search
    return events.c.acs_user_id.in_(_users(connection, search, is_whole))


def _users(connection: Connection, search: str, is_whole: bool) -> Sequence[str]:
    """The user with this id is among them, even one whom nobody ever read."""
    found = connection.execute(found_by(search, is_whole=is_whole, at_most=_MOST_USERS).limit(_MOST_USERS))
    return [search, *(row.acs_user_id for row in found if row.acs_user_id != search)]
