"""Users: the list, and one user with what is desired, what is live, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked
from console.web.meanings import MEANINGS
from console.web.rendering import page
from console.web.state import Console, console_of, part
from seamkeeper import history, issues, journal, mirror
from seamkeeper.users import MANAGED_FIELDS, is_underway, observed_value


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of users, the codes present on them, and the last id when there is a next page."""

    users: list[dict[str, Any]]
    codes: dict[str, list[str]]
    next_id: str | None


@dataclass(frozen=True, slots=True)
class Field:
    """One managed field: wanted, live, and how the two stand."""

    name: str
    desired: Any
    live: Any
    is_managed: bool
    verdict: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about one user."""

    user: Mapping[str, Any]
    name: str
    fields: list[Field]
    history: list[dict[str, Any]]
    attempts: list[dict[str, Any]]


def users(request: Request) -> Response:
    """GET /users"""
    chosen = asked.filters(request, "sync", "health", "system", "search")
    after = asked.readable(request.query_params.get("after", ""))
    return page(
        request,
        "users.html",
        listed=part(lambda: _listed(console_of(request), chosen, after)),
        chosen=chosen,
        syncs=mirror.SYNCS,
        healths=mirror.HEALTHS,
        is_later_page=bool(after),
    )


def user(request: Request) -> Response:
    """GET /users/{acs_user_id}"""
    acs_user_id = asked.name_in_path(request, "acs_user_id")
    shown = part(lambda: _shown(console_of(request), acs_user_id))
    if shown.problem is None and shown.value is None:
        raise HTTPException(404, "No user with this id was ever read, and nothing is desired of one.")
    return page(request, "user.html", acs_user_id=acs_user_id, shown=shown, meanings=MEANINGS)


def _listed(console: Console, chosen: dict[str, str], after: str) -> Listed:
    with console.reading() as connection:
        rows = mirror.list_users(
            connection,
            sync=chosen.get("sync"),
            health=chosen.get("health"),
            acs_system_id=chosen.get("system"),
            search=chosen.get("search"),
            after=after,
            limit=asked.PAGE + 1,
        )
        shown = rows[: asked.PAGE]
        codes = issues.open_codes(connection, [row["acs_user_id"] for row in shown])
    return Listed(shown, codes, shown[-1]["acs_user_id"] if len(rows) > asked.PAGE else None)


def _shown(console: Console, acs_user_id: str) -> Shown | None:
    with console.reading() as connection:
        found = mirror.find_user(connection, acs_user_id)
        if found is None:
            return None
        return Shown(
            user=found,
            name=mirror.display_names(connection, [acs_user_id]).get(acs_user_id, acs_user_id),
            fields=[_field(found, name) for name in MANAGED_FIELDS],
            history=history.history(connection, acs_user_id),
            attempts=journal.attempts_of(connection, acs_user_id=acs_user_id, limit=10),
        )


def _field(found: Mapping[str, Any], name: str) -> Field:
    observed, desired = found["observed"], found["desired"]
    live = observed_value(observed, name) if isinstance(observed, Mapping) else None
    return Field(name, desired.get(name), live, name in desired, _verdict(found, name))


def _verdict(found: Mapping[str, Any], name: str) -> str:
    """`not managed`, `deleted`, `never read`, `on its way`, `differs` or `same`."""
    observed, desired = found["observed"], found["desired"]
    if name not in desired:
        return "not managed"
    if found["health"] == "deleted":
        return "deleted"
    if not isinstance(observed, Mapping):
        return "never read"
    if is_underway(observed, name, desired[name]):
        return "on its way"
    return "differs" if name in (found["drift"] or {}) else "same"


routes = [
    Route("/users", users, methods=["GET"]),
    Route("/users/{acs_user_id:path}", user, methods=["GET"]),  # an id may hold a slash; actions come before it
]
