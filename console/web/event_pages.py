"""Events: the list, one event, and those that are dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked, work
from console.web.rendering import page
from console.web.state import Console, console_of, part
from seamkeeper import journal, mirror
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import read_event
from seamkeeper.queues import HANDLE_EVENT
from seamkeeper.rqjob import job_id_for


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of events, the names of their users, and the place where the next page begins."""

    events: list[dict[str, Any]]
    names: dict[str, str]
    next_place: str | None


def events(request: Request) -> Response:
    """GET /events"""
    chosen, before = asked.filters(request, "status", "type", "user"), asked.place(request)
    listed = part(lambda: _listed(console_of(request), chosen, before))
    return page(
        request,
        "events.html",
        listed=listed,
        chosen=chosen,
        statuses=journal.STATUSES,
        is_later_page=before is not None,
        can_be_live=before is None,
    )


def dead(request: Request) -> Response:
    """GET /dead"""
    before, redis = asked.place(request), console_of(request).redis
    listed = part(lambda: _listed(console_of(request), {"status": "dead"}, before))
    queues = part(lambda: [queue for queue in work.queue_states(redis) if queue.counts["failed"]])
    return page(request, "dead.html", listed=listed, queues=queues, is_later_page=before is not None)


def event(request: Request) -> Response:
    """GET /events/{event_id}"""
    event_id = asked.name_in_path(request, "event_id")
    console = console_of(request)
    found = part(lambda: _find(console, event_id))
    if found.problem is None and found.value is None:
        raise HTTPException(404, "No such event is kept. Events are removed 30 days after they were received.")
    job = part(lambda: work.find_job(console.redis, job_id_for(event_id)))
    name = part(lambda: _name(console, found.value))
    # A Redis that is down hides only the job of this page: the event itself was read.
    return page(
        request, "event.html", event_id=event_id, found=found, job=job.value, job_problem=job.problem, name=name.value
    )


def _listed(console: Console, chosen: dict[str, str], before: Any) -> Listed:
    with console.reading() as connection:
        rows = journal.list_events(
            connection,
            status=chosen.get("status"),
            event_type=chosen.get("type"),
            acs_user_id=chosen.get("user"),
            before=before,
            limit=asked.PAGE + 1,  # one more than is shown tells whether there is a next page
        )
        shown = rows[: asked.PAGE]
        names = mirror.display_names(connection, [row["acs_user_id"] for row in shown if row["acs_user_id"]])
    return Listed(shown, names, asked.place_after(shown[-1]) if len(rows) > asked.PAGE else None)


def _find(console: Console, event_id: str) -> dict[str, Any] | None:
    with console.reading() as connection:
        found = journal.find_event(connection, event_id)
    return found or _still_queued(console.redis, event_id)


def _still_queued(redis: Redis, event_id: str) -> dict[str, Any] | None:
    """An accepted event whose job no worker has begun: the journal has no row yet, RQ has the body."""
    job = work.find_job(redis, job_id_for(event_id))
    if job is None or job.job.function != HANDLE_EVENT:
        return None
    body = str(job.arguments.get("body", ""))
    try:
        event = read_event(body)
    except UnreadableEvent:
        return None
    return {
        "event_id": event.event_id, "event_type": event.event_type, "workspace_id": event.workspace_id,
        "acs_user_id": event.subject("acs_user_id"), "acs_system_id": event.subject("acs_system_id"),
        "connected_account_id": event.subject("connected_account_id"), "status": "queued", "reason": None,
        "source": job.arguments.get("source"), "delivery_id": job.arguments.get("delivery_id"),
        "occurred_at": event.occurred_at, "received_at": job.arguments.get("received_at") or job.job.created_at,
        "settled_at": None, "body": body, "attempts": [],
    }  # fmt: skip


def _name(console: Console, found: dict[str, Any] | None) -> str | None:
    acs_user_id = found["acs_user_id"] if found else None
    if not acs_user_id:
        return None
    with console.reading() as connection:
        return mirror.display_names(connection, [acs_user_id]).get(acs_user_id)


routes = [
    Route("/events", events, methods=["GET"]),
    Route("/events/{event_id:path}", event, methods=["GET"]),  # an id may hold a slash
    Route("/dead", dead, methods=["GET"]),
]
