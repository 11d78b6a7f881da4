"""What waits, runs and failed, as RQ keeps it. Reading changes nothing.

RQ's own way to read does: counting a registry sweeps it (and moves abandoned jobs), `Worker.all` forgets workers whose
heartbeat ended and sets a time-out of minutes on our connections. So registries are read with `cleanup=False`, and
workers from their hashes, where a lost one can still be seen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from seamkeeper.keys import Keys
from seamkeeper.queues import QUEUES
from seamkeeper.rqjob import RESULT_TTL

PAGE = 100
LOST_AFTER = timedelta(seconds=45)
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
    """One queue: how many jobs are in each state, how long the first has waited (seconds), whether somebody paused it,
    and when the next of those that wait for their time comes."""

    name: str
    counts: Mapping[str, int]
    oldest_age: float | None
    is_paused: bool = False
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker: idle, busy, suspended (no job is given to it now) or lost; its jobs in words; its heartbeat.
    `version` is Seamkeeper's, empty for a stock worker of RQ's."""

    name: str
    state: str
    queues: tuple[str, ...]
    jobs: tuple[JobState, ...]
    heartbeat_at: datetime | None
    host: str
    done: int
    failed: int
    version: str = ""
    rq_version: str = ""


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
    acs_user_id: str | None = None


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


def per_minute(redis: Redis, *, minutes: int = 60, buckets: int = 30) -> dict[str, list[float]]:
    """Queue -> how many jobs ended well in a minute, oldest first, as RQ's finished registries tell: the score of an
    entry is the end of the hour for which it is kept."""
    step, now = minutes * 60 // buckets, clock.now().timestamp() + RESULT_TTL.total_seconds()
    with redis.pipeline(transaction=False) as pipeline:
        for name in QUEUES:
            key = _registry(redis, name, "finished").key
            for place in range(buckets):
                begin = now - minutes * 60 + place * step
                pipeline.zcount(key, f"({begin}", begin + step)
        counts = iter(pipeline.execute())
    return {name: [next(counts) * 60 / step for _ in range(buckets)] for name in QUEUES}


def schedulers(redis: Redis) -> dict[str, tuple[str, float]]:
    """Queue -> who holds its lock, and in how many seconds it ends unless it is renewed; without one nobody acts."""
    keys, found = Keys(RQ_KEY_PREFIX), {}
    for name in QUEUES:
        key = keys.scheduler_lock(name)
        holder = redis.get(key)
        if holder is not None:
            found[name] = (as_text(cast(bytes, holder)), float(redis.ttl(key)))
    return found


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
    due = cast(list[tuple[str, float]], redis.zrange(_registry(redis, name, "scheduled").key, 0, 0, withscores=True))
    return QueueState(name, counts, oldest_age, is_paused, _instant(due[0][1]) if due else None)


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
        acs_user_id=_acs_user_id(job),
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


def _acs_user_id(job: Job) -> str | None:
    """Whom a job is about, where its arguments say so."""
    try:
        arguments = _arguments(job)
        body = arguments.get("body")
        about = json.loads(body) if isinstance(body, str) else arguments
        name = about.get("acs_user_id") if isinstance(about, Mapping) else None
    except (ValueError, RecursionError, AttributeError):
        return None
    return name if isinstance(name, str) else None


def _worker(redis: Redis, key: str) -> WorkerState:
    name = key.removeprefix(Worker.redis_worker_namespace_prefix)
    found: dict[str, str] = decode_redis_hash(redis.hgetall(key), decode_values=True)
    executions = redis.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(name))
    job_ids = sorted(StartedJobRegistry.parse_job_id(as_text(entry)) for entry in executions)
    heartbeat = _heartbeat(found.get("last_heartbeat", ""))
    version = found.get("seamkeeper_version", "")
    return WorkerState(
        name=name,
        state=_state_of(found, heartbeat),
        queues=tuple(filter(None, found.get("queues", "").split(","))),
        jobs=tuple(_jobs(redis, dict.fromkeys(job_ids))),
        heartbeat_at=heartbeat,
        host=found.get("hostname", ""),
        done=int(found.get("successful_job_count") or 0),
        failed=int(found.get("failed_job_count") or 0),
        version=version,
        rq_version=found.get("version", ""),
    )


def _heartbeat(text: str) -> datetime | None:
    try:
        return _aware(utcparse(text)) if text else None
    except ValueError:
        return None


def _state_of(found: Mapping[str, str], heartbeat: datetime | None) -> str:
    """RQ forgets a worker only minutes after its end. Ours beat every five seconds and their jobs go to others after
    thirty; a stock one that idles may be silent for seven minutes."""
    if not found:
        return "lost"
    is_ours = "seamkeeper_version" in found
    if is_ours and (heartbeat is None or clock.now() - heartbeat > LOST_AFTER):
        return "lost"
    return found.get("state", "?")


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def _instant(score: float) -> datetime | None:
    return datetime.fromtimestamp(score, UTC) if math.isfinite(score) else None
