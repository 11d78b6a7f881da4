"""Dead letters: by cause first, then each of them; and how a person discards those that nobody wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked, words, work
from console.web.acting import Asked, Done, Refused, action
from console.web.people import need
from console.web.rendering import page
from console.web.state import Console, console_of, part
from seamkeeper import dead, mirror

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """The causes, one page of letters, the names of their users, and where the next page begins."""

    groups: list[dict[str, Any]]
    letters: list[dict[str, Any]]
    names: dict[str, str]
    next_place: str | None


@dataclass(frozen=True, slots=True)
class Cause:
    """What shall be discarded: how many, and of how many users."""

    number: int
    users: int
    can_help: str


def letters(request: Request) -> Response:
    """GET /dead"""
    cause, before = asked.filters(request, "cause").get("cause"), asked.row(request)
    console = console_of(request)
    return page(
        request,
        "dead.html",
        can_be_live=before is None,
        listed=part(lambda: _listed(console, cause, before)),
        queues=part(lambda: _failed(console.redis)),
        cause=cause,
        kept_days=console.settings.keep_events.days,
        is_later_page=before is not None,
    )


def ask(request: Request) -> Response:
    """GET /dead/discard?cause=…: what it would be, and the form in which the number is typed."""
    need(request, "admin")
    cause = _named(asked.filters(request, "cause").get("cause"))
    found = part(lambda: _cause(console_of(request), cause))
    if found.problem is None and found.value is None:
        raise HTTPException(404, "Nothing is dead of this cause any more.")
    return page(request, "discard.html", cause=cause, found=found)


def discard(asked: Asked) -> Done:
    """POST /dead/discard: they are ended, with who and why."""
    cause, reason = _named(asked.text("cause")), asked.text("reason")[:_LONGEST_REASON]
    back = words.link("/dead/discard", cause=cause)
    if not reason:
        raise Refused("Nothing was discarded: say why, it is kept with them.", to=back)
    with asked.console.engine.begin() as connection:
        number = dead.count_open(connection, cause=cause)
        if not number:
            raise Refused("Nothing is dead of this cause any more.", to="/dead")
        if asked.text("number").replace(",", "") != str(number):
            raise Refused(f"Nothing was discarded: type {number:,}, the number of those that would go.", to=back)
        gone = dead.discard(connection, by=asked.person.name, reason=reason, cause=cause)
    return Done(f"{gone:,} discarded.", "/dead", {"cause": cause, "discarded": gone})


def _listed(console: Console, cause: str | None, before: int | None) -> Listed:
    with console.reading() as connection:
        rows = dead.list_open(connection, cause=cause, before=before, limit=asked.PAGE + 1)
        shown = rows[: asked.PAGE]
        names = mirror.display_names(connection, [row["acs_user_id"] for row in shown if row["acs_user_id"]])
        groups = dead.groups(connection)
    return Listed(groups, shown, names, str(shown[-1]["dead_id"]) if len(rows) > asked.PAGE else None)


def _cause(console: Console, cause: str) -> Cause | None:
    with console.reading() as connection:
        groups = dead.groups(connection, cause=cause)
    if not groups:
        return None
    return Cause(sum(each["number"] for each in groups), sum(each["users"] for each in groups), dead.can_help(cause))


def _failed(redis: Redis) -> list[work.QueueState]:
    return [queue for queue in work.queue_states(redis) if queue.counts["failed"]]


def _named(cause: str | None) -> str:
    if not cause:
        raise HTTPException(400, "This address names no cause.")
    return cause


routes = [
    Route("/dead", letters, methods=["GET"]),
    Route("/dead/discard", ask, methods=["GET"]),
    action("/dead/discard", discard, name="dead.discard", role="admin"),
]
