"""What was found and what was done: changes, and the writes at Seam, each with its source."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from seamkeeper import clock
from seamkeeper.database import acs_users, actions, changes

ORDERED = "apply"  # the source of a write that a person asked for by name


def note_change(connection: Connection, acs_user_id: str, change: str, detail: Any, *, source: str) -> None:
    """One line of the user's history."""
    row = {"acs_user_id": acs_user_id, "type": change, "detail": detail, "source": source, "at": clock.now()}
    connection.execute(insert(changes).values(row))


def note_changes(connection: Connection, acs_user_ids: Sequence[str], change: str, detail: Any, *, source: str) -> None:
    """The same line for many users at once."""
    line = {"type": change, "detail": detail, "source": source, "at": clock.now()}
    if acs_user_ids:
        connection.execute(insert(changes), [{"acs_user_id": acs_user_id, **line} for acs_user_id in acs_user_ids])


def begin_action(connection: Connection, acs_user_id: str, **line: Any) -> int:
    """The line before a write at Seam: endpoint, asked_by, why, before, request. Gives its number."""
    row = {"acs_user_id": acs_user_id, "started_at": clock.now(), **line}
    result = connection.execute(insert(actions).values(row))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def end_action(
    connection: Connection, action_id: int, outcome: str, *, reason: str | None = None, request_id: str | None = None
) -> None:
    """The outcome after it: `ok`, `refused`, `unknown` (the answer was lost) or `not_sent` (our own limit)."""
    values = {"outcome": outcome, "reason": reason, "seam_request_id": request_id, "ended_at": clock.now()}
    connection.execute(update(actions).where(actions.c.action_id == action_id).values(values))


@dataclass(frozen=True, slots=True)
class Own:
    """Our own writes to a user since a moment: (field, desired value as JSON) -> how often it was sent and answered;
    field -> the value sent last; and when a person last ordered one."""

    times: Counter[tuple[str, str]]
    last: dict[str, Any]


def own_writes(connection: Connection, acs_user_id: str, *, since: datetime) -> Own:
    """What we wrote, from the audit. A repair that a person ordered begins the counting anew.

    A write whose answer was lost may have been carried out: it counts as far as its value was seen to arrive, so that
    an hour in which Seam answers nobody spends no budget.
    """
    is_sent = actions.c.outcome.is_(None) | (actions.c.outcome != "not_sent")
    query = select(actions.c.why, actions.c.source, actions.c.outcome, actions.c.started_at)
    query = query.where(actions.c.acs_user_id == acs_user_id, actions.c.started_at >= since, is_sent)
    found, lost, sure = Own(Counter(), {}), Counter[tuple[str, str]](), Counter[str]()
    for why, source, outcome, at in connection.execute(query.order_by(actions.c.action_id)):
        if source == ORDERED:
            since = at
            for each in (found.times, lost, sure):
                each.clear()
        for name, difference in why.items():
            which = name, json.dumps(difference["desired"], sort_keys=True)
            (found.times if outcome in ("ok", "refused") else lost)[which] += 1
            sure[name] += outcome == "ok"
            if outcome != "refused":
                found.last[name] = difference["desired"]
    if lost:
        arrived = Counter(name for _, detail in _changed(connection, acs_user_id, since)
                          for name in detail.get("by_us", ()))  # fmt: skip
        for which, number in lost.items():
            found.times[which] += max(0, min(number, arrived[which[0]] - sure[which[0]]))
    return found


def ordered_writes(connection: Connection, acs_user_id: str, *, after: int) -> list[dict[str, Any]]:
    """`outcome` and `reason` of what a person's order wrote since the action with this number, oldest first."""
    is_it = (actions.c.acs_user_id == acs_user_id) & (actions.c.source == ORDERED) & (actions.c.action_id > after)
    query = select(actions.c.outcome, actions.c.reason).where(is_it).order_by(actions.c.action_id)
    return [{"outcome": outcome, "reason": reason} for outcome, reason in connection.execute(query)]


def arrivals(connection: Connection, acs_user_id: str, *, since: datetime) -> frozenset[str]:
    """Fields that were read with the value we had sent, since then."""
    found = _changed(connection, acs_user_id, since)
    return frozenset(name for _, detail in found for name in detail.get("by_us", ()))


def moves(connection: Connection, acs_user_id: str, name: str, *, since: datetime) -> list[dict[str, str]]:
    """Who moved one field when, oldest first: `seamkeeper` or `another writer`. No values: they are people's."""
    of_actions = (actions.c.acs_user_id == acs_user_id) & (actions.c.started_at >= since) & (actions.c.outcome == "ok")
    ours = connection.execute(select(actions.c.started_at, actions.c.why).where(of_actions)).all()
    lines = [(at, "seamkeeper") for at, why in ours if name in why]
    lines += [(at, "another writer") for at, detail in _changed(connection, acs_user_id, since)
              if name in detail["fields"] and name not in detail.get("by_us", ())]  # fmt: skip
    return [{"at": clock.iso(at), "who": who} for at, who in sorted(lines)]


def _changed(connection: Connection, acs_user_id: str, since: datetime) -> list[tuple[datetime, dict[str, Any]]]:
    is_it = (changes.c.acs_user_id == acs_user_id) & (changes.c.type == "acs_user.changed") & (changes.c.at >= since)
    query = select(changes.c.at, changes.c.detail).where(is_it).order_by(changes.c.change_id)
    return [(at, detail) for at, detail in connection.execute(query)]


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
