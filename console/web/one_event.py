"""One event: its payload, its way through the queue and to Seam, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import Redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked, tracebacks, words, work
from console.web.acting import Asked, Done, Refused, action
from console.web.asking import queues_of
from console.web.rendering import page
from console.web.state import Console, console_of, part
from console.web.tracebacks import Traceback
from console.web.tree import Branch, tree_of
from seamkeeper import accept, attempts, dead, journal, mirror, replays
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import read_event
from seamkeeper.queues import HANDLE_EVENT
from seamkeeper.replays import Chosen
from seamkeeper.requeue import Requeue
from seamkeeper.rqjob import job_id_for

_MOST_ALIKE = 10_000
_MOST_TRACEBACKS = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """The event, the tries that it took, its user's name, and how many died of the same."""

    event: dict[str, Any]
    way: list[dict[str, Any]]
    name: str | None
    alike: int

    @property
    def body(self) -> str:
        """As it was received."""
        return str(self.event["body"])


@dataclass(frozen=True, slots=True)
class Jobs:
    """What Redis still knows: the event's job, how jobs of its way failed, by job id, and how often it was delivered
    (`accept.deliveries`)."""

    own: work.JobDetail | None
    failed: dict[str, Traceback]
    deliveries: int | None


def event(request: Request) -> Response:
    """GET /events/{event_id}"""
    event_id = asked.name_in_path(request, "event_id")
    console = console_of(request)
    found = part(lambda: _find(console, event_id))
    if found.problem is None and found.value is None:
        days = console.settings.keep_events.days
        raise HTTPException(404, f"No such event is kept. Events are removed {days} days after they were received.")
    # A Redis that is down hides only the jobs of this page: the event itself was read.
    jobs = part(lambda: _jobs(console, event_id, found.value.way if found.value else []))
    return page(
        request, "event.html", event_id=event_id, found=found, jobs=jobs.value, jobs_problem=jobs.problem,
        can_act=jobs.problem is None,
        tries_at_most=len(console.settings.retry_delays) + 1, tree=_tree(request, found.value),
        is_tree=request.query_params.get("payload") == "tree",
    )  # fmt: skip


def replay(asked: Asked) -> Done:
    """POST /events/{event_id}/replay: its ordinary job again, from the body as it came."""
    event_id = asked.path["event_id"]
    here = f"/events/{words.segment(event_id)}"
    requeue = Requeue(queues_of(asked.console))
    with asked.console.reading() as connection:
        plan = replays.plan(connection, requeue, Chosen(ids=(event_id,)))
        if not plan.kinds.get("event"):
            raise Refused(f"It was not replayed: {next(iter(plan.why_not), replays.UNKNOWN)}.", to=here)
        done = replays.again(connection, requeue, [event_id])
    if not done:
        raise Refused(f"It was not replayed: {replays.IS_WAITING}.", to=here)
    return Done("It is in the queue again. The user is read from Seam before anything is written.", here)


def _find(console: Console, event_id: str) -> Shown | None:
    with console.reading() as connection:
        found = journal.find_event(connection, event_id)
        if found is not None:
            acs_user_id = found["acs_user_id"]
            way = attempts.way_of(connection, event_id, acs_user_id)
            names = mirror.display_names(connection, [acs_user_id]) if acs_user_id else {}
            letter = dead.find_open(connection, "event", event_id)
            alike = dead.count_open(connection, cause=letter["cause"], at_most=_MOST_ALIKE) if letter else 0
            return Shown(found, way, names.get(acs_user_id), alike)
    queued = _still_queued(console.redis, event_id)
    return Shown(queued, [], None, 0) if queued else None


def _jobs(console: Console, event_id: str, way: list[dict[str, Any]]) -> Jobs:
    redis = console.redis
    own = work.find_job(redis, job_id_for(event_id))
    dead_ones = dict.fromkeys(each["job_id"] for each in way if each["outcome"] == "dead")
    failed = {}
    for job_id in list(dead_ones)[-_MOST_TRACEBACKS:]:
        found = work.find_job(redis, job_id)
        if found and found.traceback and found.job.status == "failed":
            failed[job_id] = tracebacks.read(found.traceback)
    return Jobs(own, failed, accept.deliveries(queues_of(console), event_id))


def _tree(request: Request, shown: Shown | None) -> Branch | None:
    """Only where it is asked for; None, too, for a body that is no JSON."""
    if shown is None or request.query_params.get("payload") != "tree":
        return None
    return tree_of(request, shown.body)


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
        "cause": None, "tries": 0, "source": job.arguments.get("source"),
        "delivery_id": job.arguments.get("delivery_id"), "occurred_at": event.occurred_at,
        "received_at": job.arguments.get("received_at") or job.job.created_at, "settled_at": None, "body": body,
        "attempts": [],
    }  # fmt: skip


routes = [
    action("/events/{event_id:path}/replay", replay, name="event.replay", kind="event"),
    Route("/events/{event_id:path}", event, methods=["GET"]),  # an id may hold a slash
]
