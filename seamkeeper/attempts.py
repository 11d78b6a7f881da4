"""Every try of a job: when it began, what it asked of Seam and logged, how it ended, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Subquery,
    and_,
    cast,
    func,
    insert,
    select,
    update,
)

from seamkeeper import clock
from seamkeeper.database import attempts, plain, plain_row
from seamkeeper.dead import Failure

_MINUTES = 60
_MOST = 20_000  # tries of an hour that are counted


def begin(
    connection: Connection, *, job_id: str, job: str, event_id: str | None = None, acs_user_id: str | None = None
) -> int:
    """One line per try of a job, written before it runs; gives its number."""
    row = {"job_id": job_id, "job": job, "event_id": event_id, "acs_user_id": acs_user_id}
    result = connection.execute(insert(attempts).values(**row, started_at=clock.now(), outcome="running"))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def end(
    connection: Connection, attempt_id: int, outcome: str, *, reason: str | None = None, cause: str | None = None,
    request_id: str | None = None, next_at: datetime | None = None, calls: Sequence[Mapping[str, Any]] = (),
    lines: Sequence[Mapping[str, Any]] = (),
) -> None:  # fmt: skip
    """How the try ended: `ok`, `retry` or `postponed` (with the time of the next) or `dead`; what it asked of Seam
    and what it logged."""
    values = {"outcome": outcome, "reason": reason, "cause": cause, "seam_request_id": request_id, "next_at": next_at,
              "ended_at": clock.now(), "calls": [dict(call) for call in calls] or None,
              "lines": [dict(line) for line in lines] or None}  # fmt: skip
    connection.execute(update(attempts).where(attempts.c.attempt_id == attempt_id).values(values))


def end_lost(
    connection: Connection, job_id: str, failure: Failure, *, event_id: str | None, acs_user_id: str | None
) -> None:
    """The tries of this job that nobody ended, since their workers died in them."""
    if not (event_id or acs_user_id):  # no index leads to the tries of a job alone
        return
    is_theirs = attempts.c.event_id == event_id if event_id else attempts.c.acs_user_id == acs_user_id
    is_lost = and_(is_theirs, attempts.c.job_id == job_id, attempts.c.outcome == "running")
    values = {"outcome": "dead", "reason": failure.reason, "cause": failure.cause, "ended_at": clock.now()}
    connection.execute(update(attempts).where(is_lost).values(values))


def failures(
    connection: Connection, job: str, *, event_id: str | None = None, acs_user_id: str | None = None
) -> tuple[int, datetime | None]:
    """How often a job about this event or user failed since it last went well (of very many: in its last hundred
    tries), and when the first of these began. What was only postponed is no try."""
    wanted = attempts.c.event_id == event_id if event_id else attempts.c.acs_user_id == acs_user_id
    query = select(attempts.c.outcome, attempts.c.started_at).where(wanted, attempts.c.job == job)
    number, first_at = 0, None
    for outcome, started_at in connection.execute(query.order_by(attempts.c.attempt_id.desc()).limit(100)):
        if outcome == "ok":
            break
        if outcome != "postponed":
            number, first_at = number + 1, started_at
    return number, first_at


def of(
    connection: Connection, *, event_id: str | None = None, acs_user_id: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The tries of one event, or the reconciles of one user, oldest first; of very many the newest."""
    wanted = attempts.c.event_id == event_id if event_id else attempts.c.acs_user_id == acs_user_id
    rows = connection.execute(select(attempts).where(wanted).order_by(attempts.c.attempt_id.desc()).limit(limit))
    names = (
        "job",
        "job_id",
        "outcome",
        "reason",
        "cause",
        "seam_request_id",
        "started_at",
        "ended_at",
        "next_at",
        "calls",
        "lines",
    )
    return [{name: plain(row[name]) for name in names} for row in reversed(rows.mappings().all())]


def way_of(connection: Connection, event_id: str, acs_user_id: str | None, *, limit: int = 100) -> list[dict[str, Any]]:
    """The tries that an event took, oldest first: its own, and the reconciles of its user that followed one of them,
    until the user was settled. Of very many the first."""
    is_own = attempts.c.event_id == event_id
    own = list(
        connection.execute(select(attempts).where(is_own).order_by(attempts.c.attempt_id).limit(limit)).mappings()
    )
    if not own or acs_user_id is None:
        return [plain_row(row) for row in own]
    is_later = (attempts.c.acs_user_id == acs_user_id) & (attempts.c.attempt_id > own[0]["attempt_id"])
    later = connection.execute(select(attempts).where(is_later).order_by(attempts.c.attempt_id).limit(limit)).mappings()
    reconciles = [row for row in later if row["job"] == "reconcile_user" and row["event_id"] != event_id]
    found, is_open = [], False
    for row in sorted([*own, *reconciles], key=lambda row: int(row["attempt_id"])):
        is_its_own = row["event_id"] == event_id
        if is_its_own or is_open:
            found.append(plain_row(row))
            is_open = is_its_own or row["outcome"] not in ("ok", "dead")
    return found


def ran(connection: Connection, event_ids: Sequence[str], jobs: Sequence[str]) -> dict[str, set[str]]:
    """event_id -> those of these jobs that were done for it, or are dead."""
    is_one = attempts.c.event_id.in_(event_ids) & attempts.c.job.in_(jobs) & attempts.c.outcome.in_(("ok", "dead"))
    found: dict[str, set[str]] = {}
    for event_id, job in connection.execute(select(attempts.c.event_id, attempts.c.job).where(is_one)):
        found.setdefault(event_id, set()).add(job)
    return found


def next_of(connection: Connection, event_ids: Sequence[str]) -> dict[str, str]:
    """event_id -> when its next try is due, for the events of one page that are tried again."""
    query = select(attempts.c.event_id, func.max(attempts.c.next_at).label("next_at"))
    query = query.where(attempts.c.event_id.in_(event_ids), attempts.c.next_at.is_not(None))
    rows = connection.execute(query.group_by(attempts.c.event_id))
    return {row.event_id: plain(row.next_at) for row in rows}


def failed_per_minute(connection: Connection, since: datetime) -> list[int]:
    """How many tries that failed, for now or for good, began in each of the 60 minutes from then on. Of very many the
    newest are counted."""
    tries = _newest(since)
    if connection.dialect.name == "sqlite":
        second: ColumnElement[Any] = cast(func.strftime("%s", tries.c.started_at), Integer)
    else:
        second = cast(func.floor(func.extract("epoch", tries.c.started_at)), Integer)
    minute = ((second - int(since.timestamp())) // 60).label("minute")
    query = select(minute, func.count().label("number")).where(tries.c.outcome.in_(("retry", "dead"))).group_by(minute)
    numbers = {row.minute: row.number for row in connection.execute(query)}
    return [numbers.get(each, 0) for each in range(_MINUTES)]


def count_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Outcome -> how many tries that began since then ended so. Of very many the newest are counted."""
    tries = _newest(since)
    query = select(tries.c.outcome, func.count().label("number")).group_by(tries.c.outcome)
    return {row.outcome: row.number for row in connection.execute(query)}


def _newest(since: datetime) -> Subquery:
    """As many as can be looked at while a page waits: their outcomes stand in no index."""
    query = select(attempts.c.started_at, attempts.c.outcome).where(attempts.c.started_at >= since)
    return query.order_by(attempts.c.started_at.desc()).limit(_MOST).subquery()
