"""Dead letters: what will not be tried again without a person, why, and how each of them ended.

One open line per event, user or other job; its next success ends it (`success`), or a person who discards it.
A cause is one word for all that failed alike:

seam:400:invalid_input, …   Seam refused what we sent; the field says which
seam:404, seam:401          Seam knows no such thing; it does not accept the API key
seam:5xx, seam:no_answer    it failed, or was silent, for all tries; `seam:limit` (429), `seam:409`, … likewise
seam:not_its_own_answer     somebody else answered: a proxy, a wrong SEAM_ENDPOINT
desired_is_wrong            what is desired would be refused; nothing was sent
database, redis             ours were away for all tries
worker_died                 three workers ended while they ran it (memory, a kill)
time_out, memory            it took longer, or more, than a job may
unexpected:KeyError, …      a mistake in code, ours or yours
cancelled                   a person cancelled (or, with the database away, deleted) its job in the console
temporary, permanent        anything else; the sentence says what
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, distinct, func, insert, select, true, update

from seamkeeper import clock
from seamkeeper.database import dead_letters, plain, plain_row

KINDS = ("event", "user", "job")

# Beginning of a cause -> whether a replay can help, for people. The first that fits counts.
_HELP = {
    "seam:401": "A replay helps once Seam accepts the API key again.",
    "seam:404": "A replay helps only if Seam knows it again by now.",
    "seam:5xx": "Seam failed for all tries: a replay helps once it answers again.",
    "seam:no_answer": "Seam was silent for all tries: a replay helps once it answers again.",
    "seam:limit": "Seam was asked too much: a replay at a lower rate helps.",
    "seam:408": "A replay can help.",
    "seam:409": "A replay can help.",
    "seam:425": "A replay can help.",
    "seam:not_its_own_answer": "A replay helps once SEAM_ENDPOINT, or the proxy before it, is put right.",
    "seam:": "Seam refuses it each time: a replay helps only after that was mended.",
    "desired_is_wrong": "A replay helps only after what is desired was mended.",
    "database": "A replay helps now that the database is back.",
    "redis": "A replay helps now that Redis is back.",
    "worker_died": "A replay may kill a worker again: find out first why they ended.",
    "time_out": "A replay can help if it was slow only then.",
    "memory": "A replay needs more memory than it had.",
    "unexpected:": "A mistake in code: a replay helps only after that was mended.",
    "cancelled": "A replay does it after all.",
    "temporary": "A replay can help.",
}

# Made once: it follows every success, and making it takes longer than running it.
_END = (
    update(dead_letters)
    .where(
        dead_letters.c.kind == bindparam("of_kind"), dead_letters.c.subject_id == bindparam("of_subject"),
        dead_letters.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"), ended_by=bindparam("by"))
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed: the sentence for people, the word, the field that was refused, Seam's request."""

    reason: str
    cause: str
    field: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is dead: `kind` event, user or job, by its id; `job` is the function that failed."""

    kind: str
    subject_id: str
    job: str
    event_type: str | None = None
    acs_user_id: str | None = None
    acs_system_id: str | None = None


def can_help(cause: str) -> str:
    """Whether a replay can help, in a sentence."""
    found = (words for beginning, words in _HELP.items() if cause.startswith(beginning))
    return next(found, "A replay fails again unless something was mended.")


def write(
    connection: Connection, subject: Subject, failure: Failure, *, tries: int, first_at: datetime | None = None
) -> None:
    """Its open line, made or brought up to date: one that dies again keeps the time of its first failure."""
    now = clock.now()
    row = {
        "job": subject.job, "event_type": subject.event_type, "acs_user_id": subject.acs_user_id,
        "acs_system_id": subject.acs_system_id, "cause": failure.cause[:200], "field": failure.field,
        "reason": failure.reason, "seam_request_id": failure.request_id, "tries": tries, "died_at": now,
    }  # fmt: skip
    is_it = _open(subject.kind, subject.subject_id)
    if connection.execute(update(dead_letters).where(is_it).values(row)).rowcount:
        return
    made = {"kind": subject.kind, "subject_id": subject.subject_id, "first_at": first_at or now}
    connection.execute(insert(dead_letters).values(row | made))


def end(connection: Connection, kind: str, subject_id: str, *, by: str) -> bool:
    """Its open line, if there is one, is over: after every success, so it is one look into an index."""
    values = {"of_kind": kind, "of_subject": subject_id, "now": clock.now(), "by": by}
    return bool(connection.execute(_END, values).rowcount)


def find_open(connection: Connection, kind: str, subject_id: str) -> dict[str, Any] | None:
    """The open line of one event, user or job."""
    row = connection.execute(select(dead_letters).where(_open(kind, subject_id))).mappings().first()
    return None if row is None else {name: plain(value) for name, value in row.items()}


def groups(connection: Connection, *, cause: str | None = None) -> list[dict[str, Any]]:
    """The open ones by cause and field, most first: `number`, `events`, `users`, `first_at`, `last_at`, `can_help`."""
    table = dead_letters.c
    query = (
        select(
            table.cause, table.field, func.count().label("number"),
            func.coalesce(func.sum(case((table.kind == "event", 1), else_=0)), 0).label("events"),
            func.count(distinct(table.acs_user_id)).label("users"),
            func.min(table.first_at).label("first_at"), func.max(table.died_at).label("last_at"),
        )
        .where(_chosen(cause))
        .group_by(table.cause, table.field)
        .order_by(func.count().desc(), table.cause, table.field)
    )  # fmt: skip
    rows = connection.execute(query).mappings()
    return [{**plain_row(row), "can_help": can_help(row["cause"])} for row in rows]


def list_open(
    connection: Connection, *, cause: str | None = None, before: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """The open ones, newest first; `before` is the dead_id of the last one seen."""
    # by ended_at, too, though it is NULL in all of them: PostgreSQL takes no IS NULL for a constant, and would sort
    newest_first = dead_letters.c.ended_at.desc(), dead_letters.c.dead_id.desc()
    query = select(dead_letters).where(_chosen(cause)).order_by(*newest_first).limit(limit)
    if before is not None:
        query = query.where(dead_letters.c.dead_id < before)
    rows = connection.execute(query).mappings()
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def count_open(
    connection: Connection, *, cause: str | None = None, ids: Sequence[str] = (), at_most: int | None = None
) -> int:
    """How many are open, of a cause, or of these subjects; counting ends at `at_most`."""
    is_one = and_(_chosen(cause), dead_letters.c.subject_id.in_(ids) if ids else true())
    some = select(dead_letters.c.dead_id).where(is_one).limit(at_most).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def discard(connection: Connection, *, by: str, reason: str, cause: str | None = None, ids: Sequence[str] = ()) -> int:
    """A person wants no more of them; the lines are kept with who and why. Gives how many they were."""
    is_one = and_(_chosen(cause), dead_letters.c.subject_id.in_(ids) if ids else true())
    values = {"ended_at": clock.now(), "ended_by": f"discarded by {by}: {reason}"}
    return connection.execute(update(dead_letters).where(is_one).values(values)).rowcount


def _open(kind: str, subject_id: str) -> ColumnElement[bool]:
    table = dead_letters.c
    return and_(table.kind == kind, table.subject_id == subject_id, table.ended_at.is_(None))


def _chosen(cause: str | None) -> ColumnElement[bool]:
    is_open = dead_letters.c.ended_at.is_(None)
    return is_open if cause is None else and_(is_open, dead_letters.c.cause == cause)
