"""What waits, runs and failed, as RQ keeps it. Reading changes nothing.

RQ's own way to read does: counting a registry sweeps it (and moves abandoned jobs), `Worker.all` forgets workers whose
heartbeat ended and sets a time-out of minutes on our connections. So registries are read with `cleanup=False`, and
workers from their hashes, where a lost one can still be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.job import Job
from rq.registry import (
    BaseRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer
from rq.suspension import is_suspended
from rq.utils import as_text, decode_redis_hash, utcparse
from rq.worker_registration import get_keys

from seamkeeper import clock
from seamkeeper.queues import QUEUES, Keys

PAGE = 100
REGISTRIES: Mapping[str, type[BaseRegistry]] = {
    "started": StartedJobRegistry,
    "scheduled": ScheduledJobRegistry,
    "deferred": DeferredJobRegistry,
    "failed": FailedJobRegistry,
    "finished": FinishedJobRegistry,
}
STATES = ("queued", *REGISTRIES)


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue: how many jobs are in each state, how long the first has waited, in seconds, and whether somebody
    paused it."""

    name: str
    counts: Mapping[str, int]
    oldest_age: float | None
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: idle, busy, suspended or lost; its jobs in words; its heartbeat."""

    name: str
    state: str
    queues: tuple[str, ...]
    jobs: tuple[JobState, ...]
    heartbeat_at: datetime | None
    host: str
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class JobState:
    """One job, without the payload it carries."""

    job_id: str
    function: str
    words: str
    status: str
    queue: str
    tries: int
    tries_at_most: int
    created_at: datetime | None
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    worker: str
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobDetail:
    """One job with its arguments and, when it failed, how. Only pages about that one job use it."""

    job: JobState
    arguments: Mapping[str, Any]
    traceback: str | None


def queue_states(redis: Redis) -> list[QueueState]:
    """Our queues, in the order in which work matters."""
    paused = {as_text(name) for name in redis.smembers(Keys(RQ_KEY_PREFIX).paused_queues())}
    return [_queue_state(redis, name, is_paused=name in paused) for name in QUEUES]


def jobs_in(redis: Redis, queue: str, state: str, *, first: int = 0) -> list[JobState]:
    """A page of the jobs of a queue in one state: those that come next, or (failed, finished) ended last, first."""
    if state == "queued":
        return _jobs(redis, dict.fromkeys(_queue(redis, queue).get_job_ids(first, PAGE)))
    registry = _registry(redis, queue, state)
    is_newest_first = state in ("failed", "finished")
    found = redis.zrange(registry.key, first, first + PAGE - 1, desc=is_newest_first, withscores=True)
    entries = cast(list[tuple[str, float]], found)
    due = {registry.parse_job_id(entry): _instant(score) if state == "scheduled" else None for entry, score in entries}
    return _jobs(redis, due)


def find_job(redis: Redis, job_id: str) -> JobDetail | None:
    """One job, or None when RQ has forgotten it (or never knew it)."""
    try:
        job = Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
    except (NoSuchJobError, ValueError):  # ValueError: no job of RQ can have this id
        return None
    result = job.latest_result()
    return JobDetail(_state(job), _arguments(job), result.exc_string if result else None)


def workers(redis: Redis) -> list[WorkerState]:
    """All workers that registered, by name; one whose heartbeat ended is `lost` until RQ forgets it."""
    keys = sorted(as_text(key) for key in get_keys(connection=redis))
    return [_worker(redis, key) for key in keys]


def is_paused(redis: Redis) -> bool:
    """True while all workers were asked to take no job."""
    return bool(is_suspended(redis))


def _queue(redis: Redis, name: str) -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer)


def _registry(redis: Redis, queue: str, state: str) -> BaseRegistry:
    return REGISTRIES[state](queue, connection=redis, serializer=JSONSerializer)


def _queue_state(redis: Redis, name: str, *, is_paused: bool) -> QueueState:
    queue = _queue(redis, name)
    counts = {"queued": queue.count}
    counts |= {state: _registry(redis, name, state).get_job_count(cleanup=False) for state in REGISTRIES}
    first = _jobs(redis, dict.fromkeys(queue.get_job_ids(0, 1)))
    since = (first[0].enqueued_at or first[0].created_at) if first else None
    oldest_age = max(0.0, (clock.now() - since).total_seconds()) if since else None
    return QueueState(name, counts, oldest_age, is_paused)


def _jobs(redis: Redis, due: Mapping[str, datetime | None]) -> list[JobState]:
    try:
        jobs = Job.fetch_many(due, connection=redis, serializer=JSONSerializer)
    except RedisError:
        raise
    except Exception:  # a hash that RQ cannot read: the page shows the others
        jobs = [_job_or_none(redis, job_id) for job_id in due]
    return [_state(job, due.get(job.id)) for job in jobs if job is not None]


def _job_or_none(redis: Redis, job_id: str) -> Job | None:
    try:
        return Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
    except RedisError:
        raise
    except Exception:
        return None


def _state(job: Job, due_at: datetime | None = None) -> JobState:
    retried, left = job.number_of_retries or 0, job.retries_left or 0
    return JobState(
        job_id=job.id,
        function=_function(job),
        words=job.description or _function(job),
        status=str(job.get_status(refresh=False).value),
        queue=job.origin,
        tries=retried + (1 if job.started_at else 0),
        tries_at_most=retried + left + 1,
        created_at=_aware(job.created_at),
        enqueued_at=_aware(job.enqueued_at),
        started_at=_aware(job.started_at),
        ended_at=_aware(job.ended_at),
        worker=job.worker_name or "",
        due_at=due_at,
    )


def _function(job: Job) -> str:
    try:
        return str(job.func_name)
    except DeserializationError:
        return "not readable"  # a job of another application, in its own serializer


def _arguments(job: Job) -> Mapping[str, Any]:
    try:
        return job.kwargs
    except DeserializationError:
        return {}


def _worker(redis: Redis, key: str) -> WorkerState:
    name = key.removeprefix(Worker.redis_worker_namespace_prefix)
    found: dict[str, str] = decode_redis_hash(redis.hgetall(key), decode_values=True)
    executions = redis.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(name))
    job_ids = sorted(StartedJobRegistry.parse_job_id(as_text(entry)) for entry in executions)
    heartbeat = found.get("last_heartbeat")
    return WorkerState(
        name=name,
        state=found.get("state", "?") if found else "lost",
        queues=tuple(filter(None, found.get("queues", "").split(","))),
        jobs=tuple(_jobs(redis, dict.fromkeys(job_ids))),
        heartbeat_at=_aware(utcparse(heartbeat)) if heartbeat else None,
        host=found.get("hostname", ""),
        done=int(found.get("successful_job_count") or 0),
        failed=int(found.get("failed_job_count") or 0),
    )


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _instant(score: float) -> datetime | None:
    return datetime.fromtimestamp(score, UTC) if math.isfinite(score) else None
