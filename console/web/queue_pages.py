"""Queues, workers, and one job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked, work
from console.web.rendering import page
from console.web.state import console_of, part
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import read_event
from seamkeeper.queues import HANDLE_EVENT, QUEUES, Keys
from seamkeeper.schedules import WORDS, Planned, planned

# Of a job's arguments only these are shown: a body belongs to the page of its event, where it is looked for.
_SHOWN = ("acs_user_id", "acs_system_id", "name", "why", "source", "step", "received_at", "delivery_id")


def queues(request: Request) -> Response:
    """GET /queues"""
    redis = console_of(request).redis
    return page(
        request,
        "queues.html",
        can_be_live=True,
        states=work.STATES,
        queues=part(lambda: work.queue_states(redis)),
        workers=part(lambda: work.workers(redis)),
        paused=part(lambda: work.is_paused(redis)),
        words=WORDS,
        schedules=part(lambda: _schedules(redis, console_of(request).settings.redis_key_prefix)),
    )


def _schedules(redis: Any, prefix: str) -> list[Planned]:
    return planned(redis.hgetall(Keys(prefix).clock()))


def registry(request: Request) -> Response:
    """GET /queues/{queue}/{registry}"""
    queue, state = asked.name_in_path(request, "queue"), asked.name_in_path(request, "registry")
    if queue not in QUEUES or state not in work.STATES:
        raise HTTPException(404, "There is no such queue or registry.")
    redis, first = console_of(request).redis, asked.rank(request)
    jobs = part(lambda: work.jobs_in(redis, queue, state, first=first))
    total = part(lambda: {each.name: each for each in work.queue_states(redis)}[queue].counts[state])
    return page(request, "registry.html", queue=queue, state=state, jobs=jobs, total=total, first=first, size=work.PAGE)


def job(request: Request) -> Response:
    """GET /jobs/{job_id}"""
    job_id = asked.name_in_path(request, "job_id")
    found = part(lambda: work.find_job(console_of(request).redis, job_id))
    if found.problem is None and found.value is None:
        raise HTTPException(404, "RQ does not know this job. Finished jobs are kept an hour, failed ones 30 days.")
    shown, about = {}, None
    if found.value is not None:
        arguments = found.value.arguments
        shown = {name: arguments[name] for name in _SHOWN if arguments.get(name) not in (None, "")}
        about = _event_id(found.value.job.function, arguments)
    return page(request, "job.html", job_id=job_id, found=found, shown=shown, event_id=about)


def _event_id(function: str, arguments: Mapping[str, Any]) -> str | None:
    if function != HANDLE_EVENT:
        return None
    try:
        return read_event(str(arguments.get("body", ""))).event_id
    except UnreadableEvent:
        return None


routes = [
    Route("/queues", queues, methods=["GET"]),
    Route("/queues/{queue}/{registry}", registry, methods=["GET"]),
    Route("/jobs/{job_id}", job, methods=["GET"]),
]
