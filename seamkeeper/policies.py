"""What may be done to whom: the deployment's settings, overridden per access system and per user.

The nearest word counts: the user's, then the access system's, then that for all, then the settings of the process. A
pause at any level holds until its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select

from seamkeeper import clock
from seamkeeper.database import plain_row, policies, upsert

REPAIRS = ("apply", "plan", "off")
RECREATES = ("never", "ask", "auto")
SCOPES = ("user", "system", "all")  # the nearest first


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts for one user now. `repair` is `paused` while a pause holds; `paused_until` and `reason` then say
    more. `repair_by` and `recreate_by` name who said so: a scope, or `settings`."""

    repair: str
    recreate: str
    repair_by: str = "settings"
    recreate_by: str = "settings"
    paused_until: datetime | None = None
    reason: str | None = None


def policy_of(
    connection: Connection, acs_user_id: str, acs_system_id: str | None, *, repair: str, recreate: str, at: datetime
) -> Policy:
    """The policy for one user; `repair` and `recreate` are the settings of this process."""
    found = policies_of(connection, [acs_user_id], acs_system_id, repair=repair, recreate=recreate, at=at)
    return found[acs_user_id]


def policies_of(
    connection: Connection, acs_user_ids: Sequence[str], acs_system_id: str | None, *, repair: str, recreate: str,
    at: datetime,
) -> dict[str, Policy]:  # fmt: skip
    """The same for some users of one access system, by one query."""
    subjects = {"user": acs_user_ids, "system": [acs_system_id or ""], "all": [""]}
    is_theirs = or_(
        *(and_(policies.c.scope == scope, policies.c.subject_id.in_(ids)) for scope, ids in subjects.items())
    )
    found = connection.execute(select(policies).where(is_theirs)).mappings().all()
    wide: dict[str, Any] = {row["scope"]: row for row in found if row["scope"] != "user"}
    near: dict[str, dict[str, Any]] = {row["subject_id"]: {"user": row} for row in found if row["scope"] == "user"}
    return {name: _counting({**wide, **near.get(name, {})}, repair, recreate, at) for name in acs_user_ids}


def _counting(rows: Mapping[str, Mapping[str, Any]], repair: str, recreate: str, at: datetime) -> Policy:
    nearest = [(scope, rows[scope]) for scope in SCOPES if scope in rows]
    pauses = [(scope, row) for scope, row in nearest if row["paused_until"] and row["paused_until"] > at]
    recreate, recreate_by = _first(nearest, "recreate", recreate)
    if pauses:
        scope, row = max(pauses, key=lambda each: each[1]["paused_until"])
        return Policy("paused", recreate, scope, recreate_by, row["paused_until"], row["reason"])
    repair, repair_by = _first(nearest, "repair", repair)
    return Policy(repair, recreate, repair_by, recreate_by)


def set_policy(
    connection: Connection, scope: str, subject_id: str, *, by: str, repair: str | None = None,
    recreate: str | None = None, paused_until: datetime | None = None, reason: str | None = None,
) -> None:  # fmt: skip
    """Adds to what is said about a user (acs_user_id), an access system (acs_system_id) or all (""); None leaves a
    field as it is. Raises `ValueError` for words that are not in the lists above."""
    if scope not in SCOPES or repair not in (None, *REPAIRS) or recreate not in (None, *RECREATES):
        raise ValueError(f"{scope}: repair is one of {', '.join(REPAIRS)}, recreate one of {', '.join(RECREATES)}")
    given = {"repair": repair, "recreate": recreate, "paused_until": paused_until, "reason": reason}
    row = {name: value for name, value in given.items() if value is not None}
    row |= {"scope": scope, "subject_id": subject_id, "updated_at": clock.now(), "updated_by": by}
    upsert(connection, policies, row, made={})


def end_pause(connection: Connection, scope: str, subject_id: str, *, by: str) -> bool:
    """Repairs go on; False when nothing was paused there."""
    is_it = (
        (policies.c.scope == scope) & (policies.c.subject_id == subject_id) & (policies.c.paused_until > clock.now())
    )
    values = {"paused_until": None, "reason": None, "updated_at": clock.now(), "updated_by": by}
    return connection.execute(policies.update().where(is_it).values(values)).rowcount > 0


def forget_policy(connection: Connection, scope: str, subject_id: str) -> bool:
    """Nothing of its own is said any more; False when nothing was."""
    is_it = (policies.c.scope == scope) & (policies.c.subject_id == subject_id)
    return connection.execute(delete(policies).where(is_it)).rowcount > 0


def list_policies(connection: Connection) -> list[dict[str, Any]]:
    """Everything that differs from the settings, the widest scope first."""
    rows = connection.execute(select(policies).order_by(policies.c.scope, policies.c.subject_id)).mappings()
    return sorted((plain_row(row) for row in rows), key=lambda row: row["scope"] != "all")


def _first(nearest: list[tuple[str, Any]], name: str, setting: str) -> tuple[str, str]:
    found: tuple[str, Mapping[str, Any]]
    for found in nearest:
        if found[1][name] is not None:
            return str(found[1][name]), found[0]
    return setting, "settings"
