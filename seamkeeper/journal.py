"""What became of each event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    bindparam,
    func,
    select,
    tuple_,
    update,
)

from seamkeeper import attempts, clock, event_filters
from seamkeeper.database import acs_users, events, plain_row, upsert
from seamkeeper.event_filters import Place, Wanted, place
from seamkeeper.events import Event

STATUSES = ("received", "queued", "running", "retrying", "done", "ignored", "quarantined", "dead")
UNSETTLED = ("received", "queued", "running", "retrying")
SETTLED = ("done", "ignored", "quarantined", "dead")
_LONGEST_ID = 200
_MINUTES = 60
_CREATED, _DELETED = "acs_user.created", "acs_user.deleted"


def _number_of(*conditions: ColumnElement[bool]) -> Any:
    return select(func.count()).select_from(events).where(*conditions).scalar_subquery()


# Made once: each part is a stretch of one index, of which nothing but its length is read.
_SINCE = select(
    *(
        _number_of(events.c.status == status, events.c.received_at >= bindparam("since")).label(status)
        for status in STATUSES
    )
)
_MINUTE_BY_MINUTE = select(
    *(
        _number_of(
            events.c.received_at >= bindparam(f"edge{minute}"), events.c.received_at < bindparam(f"edge{minute + 1}")
        )
        for minute in range(_MINUTES)
    )
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an event came: when, by which way (`webhook`, `backfill`, `replay`), in which delivery (svix-id)."""

    received_at: datetime
    source: str
    delivery_id: str


def write_event(connection: Connection, event: Event, body: str, arrival: Arrival, *, is_try: bool = True) -> None:
    """The event's row, made or (on a later attempt, or a replay) back at `running`. The first arrival is kept. Each is
    counted as a try, unless nobody tries it now."""
    row = {
        "event_id": event.event_id,
        "event_type": event.event_type,
        "workspace_id": event.workspace_id,
        "acs_user_id": event.subject("acs_user_id"),
        "acs_system_id": event.subject("acs_system_id"),
        "connected_account_id": event.subject("connected_account_id"),
        "occurred_at": event.occurred_at,
        "status": "running",
        "tries": int(is_try),
        **_arrival(body, arrival),
    }
    again = {"event_id": event.event_id, "status": "running", "reason": None, "cause": None, "settled_at": None,
             "tries": events.c.tries + int(is_try)}  # fmt: skip
    upsert(connection, events, again, made=row)


def write_unreadable(connection: Connection, name: str, body: str, reason: str, arrival: Arrival) -> None:
    """A signed body that is no event: kept under its own name, settled at once."""
    row = {"event_type": "unreadable", "reason": reason, "settled_at": clock.now(), **_arrival(body, arrival)}
    upsert(connection, events, {"event_id": name, "status": "quarantined"}, made=row)


def settle(
    connection: Connection, event_id: str, status: str, *, reason: str | None = None, cause: str | None = None,
    is_try: bool = True,
) -> None:  # fmt: skip
    """What became of the event; a settled one gets its time. What was only postponed was no try."""
    settled_at = clock.now() if status in SETTLED else None
    values: dict[str, Any] = {"status": status, "reason": reason, "cause": cause, "settled_at": settled_at}
    if not is_try:
        values["tries"] = events.c.tries - 1
    connection.execute(update(events).where(events.c.event_id == event_id).values(values))


def settled_among(connection: Connection, event_ids: Sequence[str]) -> set[str]:
    """Those of these events that were handled, or given up: nothing in a queue is to be expected of them."""
    is_one = events.c.event_id.in_(event_ids) & events.c.status.in_(SETTLED)
    return set(connection.execute(select(events.c.event_id).where(is_one)).scalars())


def unsettled_before(
    connection: Connection, status: str, at: datetime, *, after: tuple[datetime, str] | None = None, limit: int = 500
) -> list[RowMapping]:
    """Events that came before a moment and stand in this one of `UNSETTLED`, oldest first: `event_id`, `event_type`,
    `body`, `received_at`, `source`, `delivery_id`; `after` is the (received_at, event_id) of the last one seen."""
    is_open = (events.c.status == status) & (events.c.received_at < at)
    if after is not None:
        is_open &= tuple_(events.c.received_at, events.c.event_id) > place(after)
    names = ("event_id", "event_type", "body", "received_at", "source", "delivery_id")
    query = select(*(events.c[name] for name in names)).where(is_open)
    query = query.order_by(events.c.received_at, events.c.event_id).limit(limit)
    return list(connection.execute(query).mappings())


def settled_between(
    connection: Connection, event_type: str, after: tuple[datetime, str], until: datetime, *, limit: int = 500
) -> list[RowMapping]:
    """Handled events of a type that came between two moments: `event_id`, `body`, `received_at`, oldest first; `after`
    is the (received_at, event_id) of the last one seen."""
    is_one = (events.c.event_type == event_type) & (tuple_(events.c.received_at, events.c.event_id) > place(after))
    is_one &= (events.c.received_at < until) & events.c.status.in_(("done", "ignored"))
    query = select(events.c.event_id, events.c.body, events.c.received_at).where(is_one)
    query = query.order_by(events.c.received_at, events.c.event_id).limit(limit)
    return list(connection.execute(query).mappings())


def is_deletion_announced(connection: Connection, acs_user_id: str) -> bool:
    """True when the last that Seam said about this user's coming and going is `acs_user.deleted`: last by the time it
    happened, since events come late and out of order."""
    is_theirs = (events.c.acs_user_id == acs_user_id) & events.c.event_type.in_((_CREATED, _DELETED))
    newest_first = (events.c.occurred_at.desc(), events.c.event_type.desc())  # at the same instant the deletion counts
    query = select(events.c.event_type).where(is_theirs).order_by(*newest_first).limit(1)
    return connection.execute(query).scalar_one_or_none() == _DELETED


def with_announced_deletion(connection: Connection, acs_user_ids: Sequence[str]) -> set[str]:
    """Of these users, of one page, those about whom `acs_user.deleted` ever came."""
    is_it = events.c.acs_user_id.in_(acs_user_ids) & (events.c.event_type == _DELETED)
    return {str(name) for name in connection.execute(select(events.c.acs_user_id).where(is_it)).scalars()}


def subjects_of(connection: Connection, event_id: str) -> dict[str, Any] | None:
    """`acs_user_id` and `acs_system_id` of one event."""
    query = select(events.c.acs_user_id, events.c.acs_system_id).where(events.c.event_id == event_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def find_event(connection: Connection, event_id: str) -> dict[str, Any] | None:
    """One event as `events show` gives it: its row, every attempt, and the body as it was received."""
    row = connection.execute(select(events).where(events.c.event_id == event_id)).mappings().one_or_none()
    return None if row is None else plain_row(row) | {"attempts": attempts.of(connection, event_id=event_id)}


def bodies(connection: Connection, event_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Of these events what their jobs are made of, oldest first: `event_id`, `event_type`, `body`, `received_at`,
    `delivery_id`."""
    table = events.c
    columns = table.event_id, table.event_type, table.body, table.received_at, table.delivery_id
    query = select(*columns).where(table.event_id.in_(event_ids)).order_by(table.received_at, table.event_id)
    return [dict(row) for row in connection.execute(query).mappings()]


def settled_after(connection: Connection, at: datetime, *, limit: int = 200) -> list[dict[str, Any]]:
    """For a live tail: events settled (or failed for now) after an instant, oldest first, without their bodies."""
    moved = func.coalesce(events.c.settled_at, events.c.received_at)
    columns = [column for column in events.c if column.name != "body"]
    query = select(*columns).where(moved > at, events.c.status.in_(SETTLED)).order_by(moved).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def list_events(
    connection: Connection,
    *,
    status: str | None = None,
    event_type: str | None = None,
    acs_user_id: str | None = None,
    acs_system_id: str | None = None,
    source: str | None = None,
    search: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    tries_at_least: int | None = None,
    is_whole: bool = False,
    before: Place | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Events, newest first, without their bodies; `before` is the (received_at, event_id) of the last one seen. The
    filters: `event_filters.Wanted`."""
    wanted = Wanted(
        status, event_type, acs_user_id, acs_system_id, source, search, since, until, tries_at_least, is_whole
    )
    ids = event_filters.newest(connection, wanted, before=before, limit=limit)
    query = select(*(column for column in events.c if column.name != "body")).where(events.c.event_id.in_(ids))
    found = {row["event_id"]: plain_row(row) for row in connection.execute(query).mappings()}
    return [found[event_id] for event_id in ids if event_id in found]


def count_events(connection: Connection, wanted: Wanted, *, at_most: int = 1000) -> int:
    """How many events fit; counting ends at `at_most`, so that a large number costs no more."""
    return event_filters.count(connection, wanted, at_most=at_most)


def last_events(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, datetime]:
    """acs_user_id -> when the newest event about each came, for users of the mirror, one page: one place of an index
    each."""
    is_theirs = events.c.acs_user_id == acs_users.c.acs_user_id
    newest = select(func.max(events.c.received_at)).where(is_theirs).scalar_subquery()
    query = select(acs_users.c.acs_user_id, newest).where(acs_users.c.acs_user_id.in_(acs_user_ids))
    return {acs_user_id: at for acs_user_id, at in connection.execute(query) if at is not None}


def count_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Status -> how many of the events received since then stand there now."""
    found = connection.execute(_SINCE, {"since": since}).mappings().one()
    return {status: number for status, number in found.items() if number}


def received_per_minute(connection: Connection, since: datetime) -> list[int]:
    """How many events came in each of the 60 minutes from then on."""
    edges = {f"edge{minute}": since + timedelta(minutes=minute) for minute in range(_MINUTES + 1)}
    return list(connection.execute(_MINUTE_BY_MINUTE, edges).one())


def _arrival(body: str, arrival: Arrival) -> dict[str, Any]:
    return {
        "body": body,
        "received_at": arrival.received_at,
        "source": arrival.source,
        "delivery_id": arrival.delivery_id[:_LONGEST_ID],
    }
