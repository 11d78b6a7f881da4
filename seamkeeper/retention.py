"""What is too old to be kept, table by table, in small bites: each is one short transaction that an index leads to.

What is not settled, and what an open dead letter speaks of, is never too old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    delete,
    literal,
    select,
    true,
    tuple_,
)  # fmt: skip

from seamkeeper import clock
from seamkeeper.database import actions, attempts, audit, changes, dead_letters, events, issues, notices, replays
from seamkeeper.journal import SETTLED
from seamkeeper.settings import Settings

BATCH = 500

Spared = Callable[[Connection, Sequence[Any]], set[Any]]


@dataclass(frozen=True, slots=True)
class Kept:
    """One table: how long, by which time, in which order it is walked (an index of it), what may go, and who of those
    is spared for the sake of other tables (asked by ids: a planner that joins may read these from end to end)."""

    table: Table
    lasts: Callable[[Settings], timedelta]
    at: Column[Any]
    order: tuple[Column[Any], ...]
    may_go: ColumnElement[bool]
    spared: Spared = lambda _connection, _ids: set()

    @property
    def name(self) -> str:
        """Of the table."""
        return str(self.table.name)


def _events(told: Settings) -> timedelta:
    return told.keep_events


def _history(told: Settings) -> timedelta:
    return told.keep_history


def _of_open_letters(connection: Connection, kind: str, ids: Sequence[str]) -> set[str]:
    table = dead_letters.c
    is_theirs = and_(table.kind == kind, table.subject_id.in_(ids), table.ended_at.is_(None))
    return set(connection.execute(select(table.subject_id).where(is_theirs)).scalars())


def _dead_events(connection: Connection, ids: Sequence[str]) -> set[str]:
    return _of_open_letters(connection, "event", ids)


def _tries_of_the_kept(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of events that are still there, and of dead users."""
    table = attempts.c
    query = select(table.attempt_id, table.event_id, table.acs_user_id).where(table.attempt_id.in_(ids))
    rows = connection.execute(query).all()
    event_ids, user_ids = {row.event_id for row in rows} - {None}, {row.acs_user_id for row in rows} - {None}
    there = set(connection.execute(select(events.c.event_id).where(events.c.event_id.in_(event_ids))).scalars())
    dead = _of_open_letters(connection, "user", list(user_ids))
    return {row.attempt_id for row in rows if row.event_id in there or row.acs_user_id in dead}


# Walked by the time itself where an index begins with it, else by the number, which grows with the time. The tries of
# an event go with the event; those that belong to none, or to one that is gone already, go by themselves.
KEPT: tuple[Kept, ...] = (
    Kept(events, _events, events.c.received_at, (events.c.received_at, events.c.event_id),
         events.c.status.in_(SETTLED), _dead_events),
    Kept(attempts, _events, attempts.c.started_at, (attempts.c.attempt_id,),
         true(), _tries_of_the_kept),
    Kept(changes, _history, changes.c.at, (changes.c.change_id,), true()),
    Kept(actions, _history, actions.c.started_at, (actions.c.action_id,), actions.c.ended_at.is_not(None)),
    Kept(issues, _history, issues.c.cleared_at, (issues.c.cleared_at, issues.c.issue_id), true()),
    Kept(dead_letters, _history, dead_letters.c.ended_at, (dead_letters.c.ended_at, dead_letters.c.dead_id), true()),
    Kept(notices, _history, notices.c.made_at, (notices.c.notice_id,), notices.c.state.in_(("sent", "dead"))),
    Kept(replays, _history, replays.c.asked_at, (replays.c.replay_id,), replays.c.state != "running"),
    Kept(audit, _history, audit.c.at, (audit.c.audit_id,), true()),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bite:
    """What one transaction took: rows by table, and the place behind them; None when nothing older is left."""

    gone: dict[str, int]
    place: list[Any] | None


def bite(
    connection: Connection, kept: Kept, *, before: datetime, place: Sequence[Any] | None, limit: int = BATCH
) -> Bite:
    """Looks at the next rows behind the place, and removes those of them that are older and may go."""
    rows = connection.execute(_next(kept, before, place, limit)).all()
    width = len(kept.order)
    old = [row for row in rows if row[width] < before]
    gone = _remove(connection, kept, [row[width - 1] for row in old], before) if old else {}
    # A single row with a wrong time must not end the walk: it ends where a whole look finds nothing old.
    is_over = len(rows) < limit or not old
    return Bite(gone, None if is_over else [_plain(value) for value in rows[-1][:width]])


def _next(kept: Kept, before: datetime, place: Sequence[Any] | None, limit: int) -> Select[Any]:
    query = select(*kept.order, kept.at.label("at")).order_by(*kept.order).limit(limit)
    if kept.order[0] is kept.at:
        query = query.where(kept.at < before)
    if place is not None:
        values = [literal(_value(each), column.type) for each, column in zip(place, kept.order, strict=True)]
        query = query.where(tuple_(*kept.order) > tuple_(*values) if len(values) > 1 else kept.order[0] > values[0])
    return query


def _remove(connection: Connection, kept: Kept, ids: list[Any], before: datetime) -> dict[str, int]:
    """Looked at once more in the same statement: a replay may have taken an event up meanwhile. An event on which
    somebody works at this moment is left to the next run."""
    key = kept.order[-1]
    spared = kept.spared(connection, ids)
    ids = [each for each in ids if each not in spared]
    is_due = and_(key.in_(ids), kept.at < before, kept.may_go)
    if kept.table is not events:
        return {kept.name: connection.execute(delete(kept.table).where(is_due)).rowcount}
    due = connection.execute(select(key).where(is_due).with_for_update(skip_locked=True)).scalars().all()
    if not due:
        return {}
    tries = connection.execute(delete(attempts).where(attempts.c.event_id.in_(due))).rowcount
    return {kept.name: connection.execute(delete(events).where(key.in_(due))).rowcount, attempts.name: tries}


def _plain(value: Any) -> Any:
    return {"at": clock.iso(value)} if isinstance(value, datetime) else value


def _value(value: Any) -> Any:
    return clock.parse(value["at"]) if isinstance(value, dict) else value
