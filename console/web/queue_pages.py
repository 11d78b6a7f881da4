"""Queues, workers, what runs by the clock, and Redis below them: does work flow?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked, job_actions, job_pages, queue_actions, work
from console.web.rendering import page
from console.web.sparkline import sparkline
from console.web.state import Console, console_of, part
from seamkeeper import mirror, redis_checks, seam_limits
from seamkeeper.keys import Keys
from seamkeeper.queues import QUEUES
from seamkeeper.schedules import WORDS, Planned, planned

# What may be done with the chosen ones of a registry: the path's last word, the button, the role, how it looks.
_BULK: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "queued": (("cancel", "Cancel", "operator", "quiet"),),
    "started": (("cancel", "Stop", "operator", "quiet"),),
    "scheduled": (("requeue", "Run now", "operator", "quiet"), ("cancel", "Cancel", "operator", "quiet")),
    "deferred": (("cancel", "Cancel", "operator", "quiet"),),
    "failed": (("requeue", "Requeue", "operator", "quiet"), ("delete", "Delete", "admin", "danger")),
    "finished": (("delete", "Delete", "admin", "danger"),),
}


@dataclass(frozen=True, slots=True)
class Flow:
    """What Redis says of queues. `per_minute`: jobs that ended well, each two minutes of the last hour."""

    queues: list[work.QueueState]
    per_minute: dict[str, list[float]]
    workers: list[work.WorkerState]
    is_suspended: bool
    schedulers: dict[str, tuple[str, float]]
    schedules: list[Planned]

    @property
    def paused(self) -> list[str]:
        """Names of the queues that are paused."""
        return [queue.name for queue in self.queues if queue.is_paused]

    @property
    def versions(self) -> set[str]:
        """Of Seamkeeper, among the workers that live."""
        return {worker.version for worker in self.workers if worker.version and worker.state != "lost"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How the workers restrain themselves at Seam: calls a second now, who is let rest, and what was counted."""

    rate: float | None
    circuits: list[seam_limits.Circuit]
    refused: int  # answers 429
    postponed: int

    @property
    def parked(self) -> int:
        """Users who wait for an access system."""
        return sum(each.parked for each in self.circuits)


@dataclass(frozen=True, slots=True)
class Store:
    """Redis, or Valkey: its facts, how long one question took (milliseconds), and what is wrong."""

    facts: redis_checks.Facts
    took: float
    problems: list[redis_checks.Problem]


def queues(request: Request) -> Response:
    """GET /queues"""
    console = console_of(request)
    flow = part(lambda: read_flow(console))
    return page(
        request,
        "queues.html",
        can_be_live=True,
        states=work.STATES,
        flow=flow,
        limits=part(lambda: read_limits(console)),
        store=part(lambda: read_store(console.redis)),
        names=part(lambda: _names(console, flow.value.workers if flow.value else [])).value or {},
        words=WORDS,
        sparkline=sparkline,
        most=console.settings.seam_rate,
    )


def read_flow(console: Console) -> Flow:
    """All of it, in some twenty round trips."""
    redis = console.redis
    fields = cast(dict[bytes, bytes], redis.hgetall(Keys(console.settings.redis_key_prefix).clock()))
    return Flow(
        work.queue_states(redis),
        work.per_minute(redis),
        work.workers(redis),
        work.is_paused(redis),
        work.schedulers(redis),
        planned(fields),
    )


def read_limits(console: Console) -> Limits:
    """From the bucket, the circuits and the counters."""
    redis, keys = console.redis, Keys(console.settings.redis_key_prefix)
    counters = {name.decode(): int(value) for name, value in _counters(redis, keys).items() if value.isdigit()}
    refused = sum(n for name, n in counters.items() if name.startswith("seam_api_requests:") and name.endswith(":429"))
    postponed = sum(n for name, n in counters.items() if name.startswith("seam_api_postponed:"))
    return Limits(seam_limits.present_rate(redis, keys), seam_limits.open_circuits(redis, keys), refused, postponed)


def read_store(redis: Redis) -> Store:
    """Asked once, with the time that took."""
    began = time.perf_counter()
    redis.ping()
    took = (time.perf_counter() - began) * 1000
    facts = redis_checks.facts_of(redis)
    return Store(facts, took, redis_checks.problems_of(facts))


def _counters(redis: Redis, keys: Keys) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], redis.hgetall(keys.counters()))


def _names(console: Console, workers: list[work.WorkerState]) -> dict[str, str]:
    """Of the people whom running jobs are about."""
    ids = [job.acs_user_id for worker in workers for job in worker.jobs if job.acs_user_id]
    with console.reading() as connection:
        return mirror.display_names(connection, ids[:200]) if ids else {}


def registry(request: Request) -> Response:
    """GET /queues/{queue}/{registry}"""
    queue, state = asked.name_in_path(request, "queue"), asked.name_in_path(request, "registry")
    if queue not in QUEUES or state not in work.STATES:
        raise HTTPException(404, "There is no such queue or registry.")
    redis, first = console_of(request).redis, asked.rank(request)
    jobs = part(lambda: work.jobs_in(redis, queue, state, first=first))
    total = part(lambda: {each.name: each for each in work.queue_states(redis)}[queue].counts[state])
    told: dict[str, Any] = {"queue": queue, "state": state, "first": first, "size": work.PAGE, "bulk": _BULK[state]}
    return page(request, "registry.html", jobs=jobs, total=total, **told)


routes = [
    *queue_actions.routes,
    *job_actions.routes,
    Route("/queues", queues, methods=["GET"]),
    Route("/queues/{queue}/{registry}", registry, methods=["GET"]),
    *job_pages.routes,
]
