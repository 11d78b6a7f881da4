"""Users: the list with its chips, the plan of some of them, and the first resync."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from console.web import asked, comparing
from console.web.acting import Asked, Done, Refused
from console.web.asking import queues_of
from console.web.comparing import Plan
from console.web.meanings import short
from console.web.people import person_of
from console.web.rendering import page
from console.web.state import Console, Part, console_of, part
from seamkeeper import clock, desired, issues, journal, mirror, resyncs
from seamkeeper.orders import fingerprint, ordered
from seamkeeper.queues import RESYNC_ALL
from seamkeeper.resyncs import Progress, Rhythm

# The chips: word -> the filter it stands for.
CHIPS: Mapping[str, Mapping[str, str]] = {
    "all": {},
    "drifted": {"sync": "drifted"},
    "applying": {"sync": "applying"},
    "error": {"health": "error"},
    "warning": {"health": "warning"},
    "paused": {"sync": "paused"},
    "deleted": {"health": "deleted"},
    "unmanaged": {"managed": "no"},
}
_STANDING = ("sync", "health", "managed")
_MOST = 100  # orders at once
_PLANNED = 20  # on one page of a plan: each is read with all that is known of them
_FILTERS = (*_STANDING, "system", "search")


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of users; by acs_user_id: open codes, who wrote what is desired, the newest event, the kind of user; and
    the access systems by id. `next_id`: the last id when there is a next page."""

    users: list[dict[str, Any]]
    codes: Mapping[str, list[str]]
    writers: Mapping[str, str]
    last_events: Mapping[str, datetime]
    brands: Mapping[str, str]
    systems: Mapping[str, Rhythm]
    counts: Mapping[str, int]
    next_id: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be written about one user, and the mark of the drift it was seen with."""

    user: Mapping[str, Any]
    plan: Plan
    drift: str


@dataclass(frozen=True, slots=True)
class Plans:
    """Of the users chosen, or of a page of those that fit a filter."""

    changes: list[Planned]
    blocked: list[Planned]
    others: int
    next_id: str | None

    @property
    def calls(self) -> int:
        """About how many writes at Seam."""
        return sum(len(each.plan.calls) or 1 for each in self.changes)


def users(request: Request) -> Response:
    """GET /users"""
    console, chosen = console_of(request), asked.filters(request, *_FILTERS)
    after, is_whole = asked.readable(request.query_params.get("after", "")), not person_of(request).sees_names
    listed = part(lambda: _listed(console, chosen, after, is_whole=is_whole))
    resync = _resyncs(console, listed.value.systems.values()) if listed.value else Part()
    return page(
        request,
        "users.html",
        listed=listed,
        resyncs=resync,
        chosen=chosen,
        rest={name: value for name, value in chosen.items() if name not in _STANDING},
        standing={name: value for name, value in chosen.items() if name in _STANDING},
        chips=CHIPS,
        short=short,
        is_later_page=bool(after),
        can_be_live=not after,
    )


def plan(request: Request) -> Response:
    """GET /users/plan?user=…&user=…, or with the filters of the list: what would be written, and nothing is."""
    console, chosen = console_of(request), asked.filters(request, *_FILTERS)
    ids = [asked.readable(name) for name in request.query_params.getlist("user")][: asked.PAGE]
    after, is_whole = asked.readable(request.query_params.get("after", "")), not person_of(request).sees_names
    plans = part(lambda: _plans(console, chosen, after, ids, is_whole=is_whole))
    return page(
        request, "users_plan.html", plans=plans, chosen=chosen, ids=ids, is_later_page=bool(after), at=clock.now()
    )


def resync(asked: Asked) -> Done:
    """POST /users/resync"""
    queues_of(asked.console).ask_resync(RESYNC_ALL, "all", why=f"resync by {asked.person.name}")
    return Done("Asked for a resync of all access systems. The users appear as Seam lists them.", "/users")


def sync_some(asked: Asked) -> Done:
    """POST /users/sync, from the plan: exactly what it showed of each user; the worker refuses who moves later."""
    orders = {name: drift for drift, _, name in (each.partition(" ") for each in asked.form.get("order", [])[:_MOST])}
    if not orders:
        raise Refused("Nobody was chosen, so nothing was asked for.", to="/users")
    due = _as_planned(asked.console, orders)
    moved = sorted(set(orders) - set(due))
    if not due:
        raise Refused("Everybody chosen moved since the plan was made: plan again.", to="/users?sync=drifted")
    queues, why = queues_of(asked.console), f"apply by {asked.person.name}"
    for name, drift in due.items():
        queues.ask_reconcile(name, why=why, source="operator", mode=ordered(drift))
    said = f"Asked for {len(due)} {'user' if len(due) == 1 else 'users'}."
    if moved:
        said += f" {len(moved)} moved since the plan was made, and nothing was asked for them: plan again."
    return Done(said, "/users?sync=drifted", {"asked": list(due), "moved": moved})


def _as_planned(console: Console, orders: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    """acs_user_id -> drift, of those whose drift is still the one of the plan."""
    with console.reading() as connection:
        now = {name: (mirror.find_user(connection, name) or {}).get("drift") or {} for name in orders}
    return {name: drift for name, drift in now.items() if drift and fingerprint(drift) == orders[name]}


def _listed(console: Console, chosen: Mapping[str, str], after: str, *, is_whole: bool) -> Listed:
    with console.reading() as connection:
        rows = _rows(connection, chosen, after, limit=asked.PAGE + 1, is_whole=is_whole)
        shown = rows[: asked.PAGE]
        ids = [row["acs_user_id"] for row in shown]
        return Listed(
            shown,
            issues.open_codes(connection, ids),
            desired.writers_of(connection, ids),
            journal.last_events(connection, ids),
            mirror.brands_of(connection, ids),
            {each.acs_system_id: each for each in resyncs.rhythms(connection)},
            _counts(mirror.count_users(connection)),
            ids[-1] if len(rows) > asked.PAGE else None,
        )


def _rows(
    connection: Connection, chosen: Mapping[str, str], after: str, *, limit: int, is_whole: bool
) -> list[dict[str, Any]]:
    return mirror.list_users(
        connection,
        sync=chosen.get("sync"),
        health=chosen.get("health"),
        acs_system_id=chosen.get("system"),
        search=chosen.get("search"),
        managed={"no": False, "yes": True}.get(chosen.get("managed", "")),
        is_whole=is_whole,
        after=after,
        limit=limit,
    )


def _counts(numbers: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Chip -> how many there are, of all users. No number for `unmanaged`: only a walk over all of them would know."""
    found = {word: 0 for word in CHIPS if word != "unmanaged"}
    for (sync, health), number in numbers.items():
        found["all"] += number
        for word in {sync, health} & set(found):
            found[word] += number
    return found


def _plans(console: Console, chosen: Mapping[str, str], after: str, ids: list[str], *, is_whole: bool) -> Plans:
    with console.reading() as connection:
        next_id = None
        if not ids:
            rows = _rows(connection, {"sync": "drifted", **chosen}, after, limit=_PLANNED + 1, is_whole=is_whole)
            ids = [row["acs_user_id"] for row in rows[:_PLANNED]]
            next_id = ids[-1] if len(rows) > _PLANNED else None
        found = [user for name in ids if (user := mirror.find_user(connection, name))]
    planned = [Planned(user, comparing.plan_of(user), fingerprint(user["drift"] or {})) for user in found]
    changes = [each for each in planned if each.plan.planned.state == "change"]
    blocked = [each for each in planned if each.plan.planned.state == "blocked"]
    return Plans(changes, blocked, len(planned) - len(changes) - len(blocked), next_id)


def _resyncs(console: Console, rhythms: Iterable[Rhythm]) -> Part[list[tuple[Rhythm, Progress | None]]]:
    """The resyncs under way. Redis is asked only when there is one."""
    under_way = [each for each in rhythms if each.is_under_way]
    if not under_way:
        return Part([])
    queues = queues_of(console)
    return part(lambda: [(each, resyncs.progress(queues, each.acs_system_id)) for each in under_way])
