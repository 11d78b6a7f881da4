"""What is asked of the console: each page, each filter alone, and the combinations that meet hardly anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, select

from bench import crowd
from seamkeeper import attempts, audit, clock, dead, event_filters, history, issues, journal, mirror, replays
from seamkeeper.database import events

Query = Callable[[Connection], Any]


def pages(connection: Connection, made: crowd.Crowd) -> list[str]:
    """Their addresses."""
    deep = f"{clock.iso(crowd.NOW - timedelta(days=29))}~x"
    one, failed = _event(connection, "done"), _event(connection, "dead")
    middle = made.user_ids[len(made.user_ids) // 2]
    return [
        "/", "/events", f"/events?before={deep}", "/events?status=done", "/events?status=dead",
        "/events?status=retrying", "/events?status=queued", "/events?type=acs_user.deleted", "/events?type=unreadable",
        f"/events?user={made.busiest}", f"/events?user={made.user_ids[1]}",
        "/events?status=ignored&type=acs_user.deleted", "/events?status=done&type=lock.unlocked",
        f"/events?status=done&before={deep}", f"/events?type=acs_user.deleted&before={deep}",
        f"/events?status=ignored&type=acs_user.deleted&before={deep}",
        f"/events/{one['event_id']}", f"/events/{failed['event_id']}",
        "/users", f"/users?after={middle}", "/users?sync=drifted", "/users?sync=unknown", "/users?health=error",
        "/users?health=deleted", f"/users?system={made.systems[0]}", f"/users?system={made.systems[19]}",
        f"/users?system={made.systems[0]}&sync=drifted&health=error", "/users?sync=in_sync&health=deleted",
        "/users?search=jo", f"/users?search={quote('pérez')}", "/users?search=%2B1555", "/users?search=nobody",
        "/users?search=jack&sync=paused", f"/users/{made.busiest}", f"/users/{made.user_ids[3]}",
        "/queues", "/queues/events/queued", "/queues/events/failed", "/queues/events/scheduled?from=300",
        f"/events?system={made.systems[0]}", f"/events?system={made.systems[0]}&status=done&type=acs_user.deleted",
        "/events?source=backfill", "/events?source=backfill&status=dead", "/events?tries=2",
        "/events?tries=2&status=done",
        "/events?time=7d&status=dead", "/events?search=jo", f"/events?search={one['event_id']}", "/events?search=msg_1",
        "/users?managed=no", f"/users/plan?user={made.user_ids[1]}&user={made.user_ids[2]}", "/users/plan?sync=drifted",
        f"/users/{made.user_ids[3]}/desired", "/dead", "/dead?before=1000", "/replays", "/events/rejected",
        "/settings", "/settings/audit", "/metrics",
        "/api/v1/events", "/api/v1/events?status=done&type=lock.unlocked", "/api/v1/users",
        "/api/v1/users?sync=drifted",
        "/api/v1/users?search=jo", f"/api/v1/users/{made.busiest}", "/api/v1/desired", "/api/v1/issues",
        "/api/v1/queues", "/api/v1/dead-letters", "/api/v1/dead-letters/causes",
    ]  # fmt: skip


def lists(connection: Connection, made: crowd.Crowd) -> dict[str, Query]:
    """The queries below the pages and the API, each with every filter it has."""
    found: dict[str, Query] = {}
    for filters in _of_events(connection, made):
        found[f"events {_words(filters)}"] = _call(journal.list_events, filters | {"limit": 51})
    for filters in _of_events(connection, made):
        found[f"count of events {_words(filters)}"] = _count(filters)
    deep = (crowd.NOW - timedelta(days=28), "x")
    found |= {
        f"events, deep, {_words(filters)}": _call(journal.list_events, filters | {"before": deep, "limit": 51})
        for filters in _of_events(connection, made)
        if "search" not in filters
    }
    for filters in _of_users(made):
        found[f"users {_words(filters)}"] = _call(mirror.list_users, filters | {"limit": 51})
    hour, month = crowd.NOW - timedelta(hours=1), crowd.NOW - timedelta(days=crowd.DAYS)
    last_letter = dead.list_open(connection, limit=1)
    found |= {
        "counts of users": _call(mirror.count_users, {}),
        "users needing attention": _call(mirror.needing_attention, {}),
        "events of the hour by status": _call(journal.count_since, {"since": crowd.NOW - timedelta(hours=1)}),
        "events of the day by status": _call(journal.count_since, {"since": crowd.NOW - timedelta(days=1)}),
        "events per minute": _call(journal.received_per_minute, {"since": hour}),
        "events per minute, of a flood": _call(journal.received_per_minute, {"since": month}),
        "failed tries per minute": _call(attempts.failed_per_minute, {"since": hour}),
        "failed tries per minute, of a flood": _call(attempts.failed_per_minute, {"since": month}),
        "tries of the hour": _call(attempts.count_since, {"since": hour}),
        "tries of a flood": _call(attempts.count_since, {"since": month}),
        "last events of users": _call(journal.last_events, {"acs_user_ids": [f"u{number}" for number in range(50)]}),
        "next tries of events": _call(attempts.next_of, {"event_ids": ["e1", "e2"]}),
        "way of an event": _call(attempts.way_of, {"event_id": "e1", "acs_user_id": "u1"}),
        "audit": _call(audit.lines, {}),
        "audit of a user": _call(audit.lines, {"kind": "user", "subject_id": "u1", "before": 1_000_000}),
        "replays": _call(replays.list_replays, {"before": 1_000_000}),
        "dead letters, by cause": _call(dead.groups, {}),
        "dead letters": _call(dead.list_open, {}),
        "dead letters, deep": _call(dead.list_open, {"before": last_letter[0]["dead_id"] // 2 if last_letter else 1}),
        "dead letters of a cause": _call(dead.list_open, {"cause": "seam:404"}),
        "dead letters of no cause": _call(dead.list_open, {"cause": "nothing"}),
        "count of dead letters": _call(dead.count_open, {}),
        "issues": _call(issues.list_issues, {}),
        "issues, cleared": _call(issues.list_issues, {"is_cleared": True}),
        "issues of a code": _call(issues.list_issues, {"code": "salto_ks_user_not_subscribed"}),
        "issues of a rare code of a small system": _call(
            issues.list_issues, {"code": "deleted_externally", "acs_system_id": made.systems[19]}
        ),
        "issues of a code, cleared": _call(issues.list_issues, {"code": "deleted_externally", "is_cleared": True}),
        "issues of a system": _call(issues.list_issues, {"acs_system_id": made.systems[0]}),
        "issues needing attention": _call(issues.list_issues, {"needs_attention": True}),
        "issues by code": _call(issues.count_open, {}),
        "issues of the house": _call(issues.of_the_house, {}),
        "a long history": _call(history.history, {"acs_user_id": made.busiest}),
    }
    return found


def _of_events(connection: Connection, made: crowd.Crowd) -> list[dict[str, Any]]:
    large, other, small = made.systems[0], made.systems[1], made.systems[19]
    hour, day = crowd.NOW - timedelta(hours=1), crowd.NOW - timedelta(days=1)
    some = _event(connection, "done")
    singles: list[dict[str, Any]] = [
        {},
        {"event_type": "lock.unlocked"},
        {"event_type": "nothing.of_this_name"},
        {"acs_system_id": large},
        {"acs_system_id": small},
        {"acs_user_id": made.busiest},
        {"source": "webhook"},
        {"source": "backfill"},
        {"source": "replay"},
        {"tries_at_least": 2},
        {"tries_at_least": 8},
        {"since": hour},
        {"since": crowd.NOW - timedelta(days=7), "until": day},
        {"until": crowd.NOW - timedelta(days=29)},
        {"search": some["event_id"]},
        {"search": some["delivery_id"]},
        {"search": "msg_none"},
        {"search": made.busiest},
        {"search": "pérez"},
        {"search": "nobody"},
    ]
    hostile: list[dict[str, Any]] = [
        {"status": "ignored", "event_type": "acs_user.created"},
        {"status": "done", "event_type": "lock.unlocked"},
        {"status": "dead", "event_type": "thermostat.temperature_changed"},
        {"acs_system_id": large, "event_type": "acs_credential.issued"},
        {"acs_system_id": large, "event_type": "acs_credential.issued", "status": "ignored"},
        {"acs_system_id": large, "event_type": "acs_user.created", "status": "ignored"},
        {"acs_system_id": large, "status": "quarantined"},
        {"acs_system_id": other, "status": "done", "source": "replay"},
        {"acs_system_id": small, "status": "done"},
        {"source": "backfill", "status": "retrying"},
        {"source": "backfill", "event_type": "lock.unlocked", "status": "done"},
        {"source": "replay", "since": hour},
        {"source": "webhook", "status": "dead", "since": hour},
        {"tries_at_least": 2, "status": "done", "event_type": "lock.unlocked"},
        {"tries_at_least": 8, "status": "done", "source": "webhook"},
        {"tries_at_least": 5, "acs_system_id": small},
        {"acs_user_id": made.busiest, "status": "ignored"},
        {"acs_user_id": made.busiest, "event_type": "lock.unlocked"},
        {"search": "pérez", "status": "retrying"},
        {"search": made.busiest, "status": "quarantined", "source": "replay"},
        {"since": day, "status": "ignored", "event_type": "acs_user.created"},
        {"until": crowd.NOW - timedelta(days=29), "status": "retrying"},
    ]
    return singles + [{"status": status} for status in journal.STATUSES] + hostile


def _of_users(made: crowd.Crowd) -> list[dict[str, Any]]:
    large, small = made.systems[0], made.systems[19]
    found: list[dict[str, Any]] = [{}, {"after": made.user_ids[-60]}]
    found += [{"sync": sync} for sync in mirror.SYNCS] + [{"health": health} for health in mirror.HEALTHS]
    found += [{"acs_system_id": large}, {"acs_system_id": small}]
    found += [{"search": text} for text in ("jack", "pérez", "u1", "+1555", "nobody", made.busiest, made.busiest[:8])]
    found += [
        {"sync": "in_sync", "health": "deleted"},
        {"sync": "paused", "health": "error"},
        {"acs_system_id": large, "sync": "applying", "health": "error"},
        {"acs_system_id": small, "sync": "in_sync"},
        {"acs_system_id": large, "health": "deleted", "sync": "drifted"},
        {"search": "jack", "sync": "applying"},
        {"search": "jack", "acs_system_id": small},
        {"search": "u", "sync": "paused"},
        {"managed": False},
        {"managed": False, "acs_system_id": small},
        {"managed": False, "health": "warning", "acs_system_id": large},
        {"managed": True, "sync": "drifted"},
        {"managed": True, "sync": "unknown", "health": "error"},
        {"code": "salto_ks_user_not_subscribed"},
        {"code": "deleted_externally", "acs_system_id": small},
        {"code": "deleted_externally", "search": "jack"},
        {"code": "salto_ks_user_not_subscribed", "sync": "applying"},
        {"code": "nothing_of_this_name", "sync": "in_sync"},
        {"code": "unknown_issue_with_acs_user", "managed": False},
    ]
    return found


def _event(connection: Connection, status: str) -> dict[str, Any]:
    """One of the events that stand there, with its delivery."""
    row = connection.execute(select(events).where(events.c.status == status).limit(1)).mappings().one()
    return dict(row)


def _call(query: Any, arguments: dict[str, Any]) -> Query:
    return lambda connection: query(connection, **arguments)


def _count(filters: dict[str, Any]) -> Query:
    return lambda connection: journal.count_events(connection, event_filters.Wanted(**filters))


def _words(filters: dict[str, Any]) -> str:
    return ", ".join(f"{name}={str(value)[:16]}" for name, value in filters.items()) or "(all)"
