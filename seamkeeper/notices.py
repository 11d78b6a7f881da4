"""Notices: what people are told outside of the console. The rows, and what they count; workers/notices.py sends them.

A notice's name is one transition of one thing, so it is told once. Its state goes waiting -> sending -> sent, or dead;
a waiting one of which nothing is left to tell is forgotten.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as insert_postgresql
from sqlalchemy.dialects.sqlite import insert as insert_sqlite

from seamkeeper import clock
from seamkeeper.database import acs_users, issues, notices, plain

STATES = ("waiting", "sending", "sent", "dead")


def write(connection: Connection, name: str, *, title: str, body: str) -> bool:
    """A waiting notice; False when there is one of this name already, in whatever state."""
    row = {"name": name, "title": title, "body": body, "state": "waiting", "made_at": clock.now()}
    dialect = insert_postgresql if connection.dialect.name == "postgresql" else insert_sqlite
    statement = dialect(notices).values(row).on_conflict_do_nothing(index_elements=["name"])
    return connection.execute(statement.returning(notices.c.notice_id)).first() is not None


def state_of(connection: Connection, name: str) -> str | None:
    """Its state; None when there is no such notice."""
    return connection.execute(select(notices.c.state).where(notices.c.name == name)).scalar_one_or_none()


def newest_of(connection: Connection, beginning: str) -> tuple[str, str] | None:
    """Name and state of the newest notice whose name begins so."""
    query = select(notices.c.name, notices.c.state).where(notices.c.name.startswith(beginning, autoescape=True))
    row = connection.execute(query.order_by(notices.c.notice_id.desc()).limit(1)).one_or_none()
    return None if row is None else (row.name, row.state)


def begin(connection: Connection, name: str) -> tuple[str, str] | None:
    """Title and body of a notice that shall be sent now; None when it was sent, or forgotten."""
    is_due = (notices.c.name == name) & (notices.c.state != "sent")
    if connection.execute(update(notices).where(is_due).values(state="sending")).rowcount == 0:
        return None
    return words_of(connection, name)


def words_of(connection: Connection, name: str) -> tuple[str, str]:
    """Title and body of a notice that is there."""
    row = connection.execute(select(notices.c.title, notices.c.body).where(notices.c.name == name)).one()
    return row.title, row.body


def reword(connection: Connection, name: str, *, title: str, body: str) -> None:
    """What it says by the time it is sent."""
    connection.execute(update(notices).where(notices.c.name == name).values(title=title, body=body))


def settle(connection: Connection, name: str, state: str, *, reason: str | None = None) -> None:
    """What became of it; one that was sent gets its time."""
    values = {"state": state, "reason": reason, "sent_at": clock.now() if state == "sent" else None}
    connection.execute(update(notices).where(notices.c.name == name).values(values))


def forget(connection: Connection, name: str, *, state: str) -> bool:
    """There is nothing left to tell; False when it is not in this state any more."""
    is_it = (notices.c.name == name) & (notices.c.state == state)
    return connection.execute(delete(notices).where(is_it)).rowcount > 0


def find(connection: Connection, name: str) -> dict[str, Any] | None:
    """One notice, as `list_notices` gives it."""
    row = connection.execute(select(notices).where(notices.c.name == name)).mappings().one_or_none()
    return None if row is None else {key: plain(value) for key, value in row.items()}


def list_notices(
    connection: Connection, *, state: str | None = None, before: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Notices, newest first; `before` is the notice_id of the last one seen."""
    query = select(notices).order_by(notices.c.notice_id.desc()).limit(limit)
    if state is not None:
        query = query.where(notices.c.state == state)
    if before is not None:
        query = query.where(notices.c.notice_id < before)
    return [{key: plain(value) for key, value in row.items()} for row in connection.execute(query).mappings()]


def count_issues(connection: Connection, *, kind: str, code: str, acs_system_id: str | None) -> tuple[int, str | None]:
    """How many users of an access system a code is present on now, with one of their ids. An issue of the whole system
    is one without an id; without a system every issue of the code counts."""
    of_system = func.coalesce(issues.c.acs_system_id, acs_users.c.acs_system_id)
    query = (
        select(func.count().label("number"), func.min(issues.c.acs_user_id).label("acs_user_id"))
        .select_from(issues.outerjoin(acs_users, acs_users.c.acs_user_id == issues.c.acs_user_id))
        .where(issues.c.code == code, issues.c.cleared_at.is_(None), issues.c.kind == kind)
    )
    if acs_system_id is not None:
        query = query.where(of_system == acs_system_id)
    row = connection.execute(query).one()
    return row.number, row.acs_user_id
