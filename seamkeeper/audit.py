"""Who did what in the console or by its API, and what came of it: a line before it is done, the outcome after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from seamkeeper import clock
from seamkeeper.database import audit, plain

_BEYOND = 2**31 - 1  # no line has a larger number

Outcome = Literal["done", "refused", "failed"]


def begin(
    connection: Connection,
    *,
    who: str,
    role: str,
    action: str,
    kind: str | None = None,
    subject_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """The line before; gives its number. `detail` holds ids and numbers, never what people are called."""
    row = {"who": who, "role": role, "action": action, "kind": kind, "detail": detail, "at": clock.now()}
    row["subject_id"] = None if subject_id is None else subject_id[:200]
    result = connection.execute(insert(audit).values(row))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def end(
    connection: Connection,
    audit_id: int,
    outcome: Outcome,
    *,
    reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """What came of it."""
    values: dict[str, Any] = {"outcome": outcome, "reason": reason} | ({"detail": detail} if detail else {})
    connection.execute(update(audit).where(audit.c.audit_id == audit_id).values(values))


def find(connection: Connection, audit_id: int) -> dict[str, Any] | None:
    """One line."""
    row = connection.execute(select(audit).where(audit.c.audit_id == audit_id)).mappings().one_or_none()
    return None if row is None else {name: plain(value) for name, value in row.items()}


def lines(
    connection: Connection, *, kind: str | None = None, subject_id: str | None = None, before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:  # fmt: skip
    """The newest first; of one thing when `kind` and `subject_id` say which; `before` is the last number seen."""
    query = select(audit).order_by(audit.c.audit_id.desc()).limit(limit)
    if kind is not None:
        query = query.where(audit.c.kind == kind, audit.c.subject_id == subject_id)
    # always with an end, so that SQLite, too, tells that it enters the table there instead of reading all of it
    query = query.where(audit.c.audit_id < (_BEYOND if before is None else before))
    return [{name: plain(value) for name, value in row.items()} for row in connection.execute(query).mappings()]
