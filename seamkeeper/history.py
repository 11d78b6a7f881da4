"""What was found and what was done: issues, changes, and the writes at Seam, each with its source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from seamkeeper import clock
from seamkeeper.database import acs_users, actions, changes, issues, plain
from seamkeeper.users import codes


def note_change(connection: Connection, acs_user_id: str, change: str, detail: Any, *, source: str) -> None:
    """One line of the user's history."""
    row = {"acs_user_id": acs_user_id, "type": change, "detail": detail, "source": source, "at": clock.now()}
    connection.execute(insert(changes).values(row))


def keep_issues(connection: Connection, acs_user_id: str, raw: Mapping[str, Any] | None) -> None:
    """One open issue per error or warning code that is present; those that are gone are cleared."""
    at = clock.now()
    is_open = (issues.c.acs_user_id == acs_user_id) & issues.c.cleared_at.is_(None)
    known = {(row.kind, row.code): row.issue_id for row in connection.execute(select(issues).where(is_open))}
    present = {
        (kind, code[:200]): entry for kind in ("error", "warning") for code, entry in codes(raw or {}, kind).items()
    }
    for (kind, code), entry in present.items():
        seen = {"message": str(entry.get("message") or ""), "last_seen_at": at}
        if (kind, code) in known:
            connection.execute(update(issues).where(issues.c.issue_id == known[kind, code]).values(seen))
            continue
        row = {"acs_user_id": acs_user_id, "kind": kind, "code": code, "first_seen_at": at}
        connection.execute(insert(issues).values(**row, **seen, raised_at=str(entry.get("created_at") or "")))
    gone = [issue_id for key, issue_id in known.items() if key not in present]
    if gone:
        connection.execute(update(issues).where(issues.c.issue_id.in_(gone)).values(cleared_at=at))


def open_issues(connection: Connection, acs_user_id: str) -> list[dict[str, Any]]:
    """The codes that are present on a user now, oldest first."""
    is_open = (issues.c.acs_user_id == acs_user_id) & issues.c.cleared_at.is_(None)
    rows = connection.execute(select(issues).where(is_open).order_by(issues.c.issue_id)).mappings()
    names = ("kind", "code", "message", "raised_at", "first_seen_at", "last_seen_at")
    return [{name: plain(row[name]) for name in names} for row in rows]


def open_codes(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, list[str]]:
    """acs_user_id -> the codes present on that user, for the users of one page; those without any are left out."""
    is_theirs = issues.c.acs_user_id.in_(acs_user_ids) & issues.c.cleared_at.is_(None)
    query = select(issues.c.acs_user_id, issues.c.code).where(is_theirs).order_by(issues.c.issue_id)
    found: dict[str, list[str]] = {}
    for acs_user_id, code in connection.execute(query):
        found.setdefault(acs_user_id, []).append(code)
    return found


def count_open(connection: Connection) -> dict[str, int]:
    """Code -> how many users it is present on."""
    query = select(issues.c.code, func.count().label("number")).where(issues.c.cleared_at.is_(None))
    return {row.code: row.number for row in connection.execute(query.group_by(issues.c.code))}


def begin_action(connection: Connection, acs_user_id: str, **line: Any) -> int:
    """The line before a write at Seam: endpoint, asked_by, why, before, request. Gives its number."""
    row = {"acs_user_id": acs_user_id, "started_at": clock.now(), **line}
    result = connection.execute(insert(actions).values(row))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def end_action(
    connection: Connection, action_id: int, outcome: str, *, reason: str | None = None, request_id: str | None = None
) -> None:
    """The outcome after it: `ok`, `refused` or `unknown` (the answer was lost)."""
    values = {"outcome": outcome, "reason": reason, "seam_request_id": request_id, "ended_at": clock.now()}
    connection.execute(update(actions).where(actions.c.action_id == action_id).values(values))


def times_sent(connection: Connection, acs_user_id: str, *, since: datetime) -> Counter[tuple[str, str]]:
    """(field, desired value as JSON) -> in how many updates Seam accepted it since then."""
    is_theirs = (actions.c.acs_user_id == acs_user_id) & (actions.c.outcome == "ok") & (actions.c.started_at >= since)
    sent = connection.execute(select(actions.c.why, actions.c.request).where(is_theirs)).all()
    return Counter(
        (name, json.dumps(each["desired"], sort_keys=True))
        for why, request in sent
        for name, each in why.items()
        if name in request
    )


def history(connection: Connection, acs_user_id: str, *, limit: int = 50) -> list[dict[str, Any]]:
    """What was found and done, newest first: changes and the writes at Seam."""
    found = select(changes).where(changes.c.acs_user_id == acs_user_id).order_by(changes.c.change_id.desc())
    done = select(actions).where(actions.c.acs_user_id == acs_user_id).order_by(actions.c.action_id.desc())
    lines = [
        {"at": clock.iso(row["at"]), "what": row["type"], "source": row["source"], "detail": row["detail"]}
        for row in connection.execute(found.limit(limit)).mappings()
    ]
    lines += [
        {"at": clock.iso(row["started_at"]), "what": row["endpoint"], "source": row["asked_by"],
         "detail": {"request": row["request"], "outcome": row["outcome"], "reason": row["reason"],
                    "seam_request_id": row["seam_request_id"]}}
        for row in connection.execute(done.limit(limit)).mappings()
    ]  # fmt: skip
    return sorted(lines, key=lambda line: line["at"], reverse=True)[:limit]


def lines_after(connection: Connection, change_id: int, action_id: int, *, limit: int = 200) -> list[dict[str, Any]]:
    """For a live tail: changes and finished writes newer than these numbers, oldest first, with the user's name."""
    name = select(acs_users.c.display_name).where(acs_users.c.acs_user_id == changes.c.acs_user_id).scalar_subquery()
    found = select(changes, name.label("name")).where(changes.c.change_id > change_id).order_by(changes.c.change_id)
    done = select(actions).where(actions.c.action_id > action_id, actions.c.ended_at.is_not(None))
    lines = [
        {"change_id": row["change_id"], "at": row["at"], "what": row["type"], "acs_user_id": row["acs_user_id"],
         "name": row["name"], "detail": row["detail"]}
        for row in connection.execute(found.limit(limit)).mappings()
    ]  # fmt: skip
    lines += [
        {"action_id": row["action_id"], "at": row["ended_at"], "what": f"repair {row['outcome']}",
         "acs_user_id": row["acs_user_id"], "name": None, "detail": {"fields": sorted(row["why"])}}
        for row in connection.execute(done.order_by(actions.c.action_id).limit(limit)).mappings()
    ]  # fmt: skip
    return sorted(lines, key=lambda line: line["at"])


def last_numbers(connection: Connection) -> tuple[int, int]:
    """Where a live tail begins: the newest change_id and action_id."""
    newest_change = select(func.coalesce(func.max(changes.c.change_id), 0))
    newest_action = select(func.coalesce(func.max(actions.c.action_id), 0))
    return connection.execute(newest_change).scalar_one(), connection.execute(newest_action).scalar_one()
