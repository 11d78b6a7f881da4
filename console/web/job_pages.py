"""One job of RQ's: what it is to do, how often it was tried, how it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked, tracebacks, work
from console.web.rendering import page
from console.web.state import Console, console_of, part
from seamkeeper import attempts
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import read_event
from seamkeeper.queues import HANDLE_EVENT

# Shown as facts, in this order; all others but `body` as JSON. A body belongs to the page of its event.
_FACTS = ("acs_user_id", "acs_system_id", "name", "why", "source", "step", "received_at", "delivery_id")
_WAITING = ("queued", "scheduled", "deferred")
_ENDED = ("failed", "stopped", "canceled")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows beside the job itself."""

    facts: dict[str, Any]
    others: dict[str, Any]
    event_id: str | None
    acts: tuple[tuple[str, str, str, str], ...]  # path, label, role, kind


def job(request: Request) -> Response:
    """GET /jobs/{job_id}"""
    console, job_id = console_of(request), asked.name_in_path(request, "job_id")
    found = part(lambda: work.find_job(console.redis, job_id))
    if found.problem is None and found.value is None:
        raise HTTPException(404, "RQ does not know this job. Finished jobs are kept an hour, failed ones 30 days.")
    shown = _shown(found.value) if found.value else None
    failure = tracebacks.read(found.value.traceback) if found.value and found.value.traceback else None
    tries = part(lambda: _tries(console, job_id, found.value, shown))
    return page(request, "job.html", job_id=job_id, found=found, shown=shown, failure=failure, tries=tries)


def _shown(found: work.JobDetail) -> Shown:
    told = found.arguments
    facts = {name: told[name] for name in _FACTS if told.get(name) not in (None, "")}
    others = {name: value for name, value in told.items() if name not in (*_FACTS, "body") and value is not None}
    return Shown(facts, others, _event_id(found.job.function, told), _acts(found.job.status))


def _acts(status: str) -> tuple[tuple[str, str, str, str], ...]:
    cancel, delete = ("cancel", "Cancel", "operator", "quiet"), ("delete", "Delete", "admin", "danger")
    if status == "started":
        return (("cancel", "Stop", "operator", "quiet"),)
    if status in _WAITING:
        return (("requeue", "Run now", "operator", ""), cancel) if status == "scheduled" else (cancel,)
    if status in _ENDED:
        return (("requeue", "Requeue", "operator", ""), delete)
    return (delete,) if status == "finished" else ()


def _tries(console: Console, job_id: str, found: work.JobDetail | None, shown: Shown | None) -> list[dict[str, Any]]:
    """Out of the journal; an index leads to those of an event, or of a user."""
    if found is None or shown is None:
        return []
    acs_user_id = shown.facts.get("acs_user_id")
    if not (shown.event_id or isinstance(acs_user_id, str)):
        return []
    about = {"event_id": shown.event_id} if shown.event_id else {"acs_user_id": acs_user_id}
    with console.reading() as connection:
        tries = attempts.of(connection, **about, limit=100)
    return [each for each in tries if each["job_id"] == job_id]


def _event_id(function: str, arguments: Mapping[str, Any]) -> str | None:
    if function != HANDLE_EVENT:
        return None
    try:
        return read_event(str(arguments.get("body", ""))).event_id
    except UnreadableEvent:
        return None


routes = [Route("/jobs/{job_id}", job, methods=["GET"])]
