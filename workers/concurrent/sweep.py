"""Jobs of dead workers come back: by one process at a time, at most once per period over all processes.

Abandoned: in the started registry, without a heartbeat. Retried as RQ retries them, or failed with the reason; after
three dead workers set aside, whatever retries are left: a job that kills its worker would kill every worker in turn.
Orphaned: the hash says `queued` and the id stands in no queue. A stock worker that listens to several queues leaves
such a job when it is killed between its pop and its start. Looked at twice, since a pop may be under way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from rq import worker_registration
from rq.callbacks import execute_failure_callback
from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import AbandonedJobError, NoSuchJobError
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus
from rq.job_lifecycle import record_job_failure
from rq.rate_limit import release_slot
from rq.registry import clean_registries
from rq.utils import as_text, now, parse_composite_key

from workers.concurrent.scripts import WRITTEN, Call, Script, Unit, recorded, recorder, settle_call, travel

_log = logging.getLogger("rq.worker")
_OURS = f"{RQ_KEY_PREFIX}:seamkeeper:"
_DEATHS = 3
_ALONE, _ALONE_KEPT = f"{_OURS}alone", 600  # who came back last for its last chance; seconds the others wait for it
_DEATHS_KEPT = 86400  # seconds
_KEYS_PER_SWEEP = 5000  # looked at for orphans; the next sweep goes on where this one ended
_AT_THE_FRONT = 100  # jobs that are looked through for the oldest: some were put at the front
_BETWEEN_LOOKS = 15  # seconds an orphan has to be one


def sweep(worker: Any, *, period: float, is_steady: Callable[[], bool] = lambda: True) -> bool:
    """Looks after the worker's queues; False when somebody did so within the period. `is_steady`: whether heartbeats
    come through. It is asked again after each wait for Redis: one that froze while we waited made them all old."""
    redis = worker.connection
    if not is_steady():
        return False
    if not redis.set(f"{_OURS}sweep", worker.name, nx=True, px=max(int(period * 1000) - 100, 100)):
        return False
    for queue in worker.queues:
        if not is_steady():
            return True
        _bring_abandoned_back(worker, queue, period)
        if is_steady() and queue.acquire_maintenance_lock():
            try:
                clean_registries(queue, worker._exc_handlers)
                worker_registration.clean_worker_registry(queue)
                queue.intermediate_queue.cleanup(worker, queue)
            finally:
                queue.release_maintenance_lock()
    worker.clean_group_registries()
    _requeue_orphans(worker)
    return True


def _bring_abandoned_back(worker: Any, queue: Any, period: float) -> None:
    """All of them, but of those that had their last chance but one, one at a time, and the next one when that one has
    ended: jobs that ran beside a job that kills its worker died with it, and must not be with it again when it does so
    for the last time."""
    redis, registry, is_given, at = worker.connection, queue.started_job_registry.key, False, time.time()
    for member in redis.zrangebyscore(registry, 0, at):
        entry = as_text(member)
        job_id, _ = parse_composite_key(entry)
        if int(redis.get(_deaths_key(job_id)) or 0) == _DEATHS - 2:
            if is_given or _is_another_at_large(redis, job_id):
                redis.zadd(registry, {entry: time.time() + period}, xx=True)  # RQ's own cleaning is not to see it
                continue
            is_given = True
            redis.set(_ALONE, job_id, ex=_ALONE_KEPT)
        _bring_back(worker, queue, entry, at)


def _is_another_at_large(redis: Any, job_id: str) -> bool:
    """The one that came back last for its last chance still waits in its queue, or runs."""
    given = as_text(redis.get(_ALONE) or b"")
    return given not in ("", job_id) and redis.hget(Job.key_for(given), "status") in (b"queued", b"started")


def _deaths_key(job_id: str) -> str:
    return f"{_OURS}deaths:{job_id}"


def note_end(worker: Any, words: str) -> None:
    """Why this worker ends in the middle of its jobs, for whoever finds them."""
    worker.connection.set(_ended_key(worker.name), words, ex=_DEATHS_KEPT)


def _ended_key(worker_name: str) -> str:
    return f"{_OURS}ended:{worker_name}"


def _bring_back(worker: Any, queue: Any, entry: str, at: float) -> None:
    """What RQ's `StartedJobRegistry.cleanup` does, for one entry, and only if its worker does not end it meanwhile."""
    redis, (job_id, execution_id) = worker.connection, parse_composite_key(entry)
    registry = queue.started_job_registry.key
    try:
        job = worker.job_class.fetch(job_id, redis, worker.serializer)
    except NoSuchJobError:
        redis.zrem(registry, entry)
        return
    pipeline = recorder(redis)
    Execution(execution_id, job_id, redis, job.worker_name or "").delete(job, pipeline)
    others = [each for each in ExecutionRegistry(job_id, redis).get_execution_ids() if each != execution_id]
    reason, is_counted = None, _is_left_alone(queue, job) and not others
    if is_counted:
        reason = _record_abandoned(worker, queue, job, pipeline)
    [[verdict]] = travel(redis, [settle_call([Unit(registry, entry, recorded(pipeline), before=at)])])
    if verdict == WRITTEN and reason:
        job.send_webhooks(JobStatus.FAILED, exc_string=reason)
        worker.tell_set_aside(job, reason)
        queue.enqueue_dependents(job)
    if verdict == WRITTEN:
        release_slot(job)
    elif is_counted:
        redis.decr(_deaths_key(job_id))  # its worker was only slow


def _is_left_alone(queue: Any, job: Any) -> bool:
    """Nobody but its dead worker had it. RQ says `scheduled` a moment before it schedules a retry: a worker that was
    killed between the two left the word and nothing else."""
    status = job.get_status(refresh=False)
    if status == JobStatus.SCHEDULED:
        return queue.connection.zscore(queue.scheduled_job_registry.key, job.id) is None
    return bool(status == JobStatus.STARTED)


def _record_abandoned(worker: Any, queue: Any, job: Any, pipeline: Any) -> str | None:
    """Writes the retry, or the failure; then gives its reason."""
    key = _deaths_key(job.id)
    deaths = worker.connection.incr(key)
    worker.connection.expire(key, _DEATHS_KEPT)
    try:
        execute_failure_callback(job, worker.death_penalty_class, AbandonedJobError, AbandonedJobError(), None)
    except Exception:
        _log.exception("The failure callback of abandoned job %s", job.id)
    connection, job.connection = job.connection, pipeline  # RQ's `retry` sets the status outside of its pipeline
    try:
        if deaths < _DEATHS and job.should_retry:
            _log.warning("Job %s was abandoned by worker %s: again", job.id, job.worker_name)
            job.retry(queue, pipeline)
            return None
        what = f"set aside, {deaths} workers ended while they ran it" if deaths >= _DEATHS else "no retry is left"
        words = as_text(worker.connection.get(_ended_key(job.worker_name or "")) or b"")
        why = f"worker {job.worker_name} ended while it ran this job{words and ', since ' + words}"
        reason = f"{AbandonedJobError.__name__}: {why}; {what} ({now()})"
        _log.warning("Job %s: %s", job.id, reason)
        record_job_failure(job, reason, pipeline)
        return reason
    finally:
        job.connection = connection


def _requeue_orphans(worker: Any) -> None:
    redis, seen, at = worker.connection, f"{_OURS}orphans", time.time()
    names = {queue.name: queue for queue in worker.queues}
    for member in redis.zrangebyscore(seen, 0, at - _BETWEEN_LOOKS):
        job_id, origin = as_text(member), as_text(redis.hget(Job.key_for(as_text(member)), "origin") or b"")
        if origin in names and travel(redis, [_orphan_call(names[origin], job_id, is_seen=True)]) == [1]:
            _log.warning("Job %s was in no queue: again", job_id)
        redis.zrem(seen, member)
    queued = _queued_ids(redis, names)
    standing = travel(redis, [_orphan_call(names[name], job_id, is_seen=False) for job_id, name in queued])
    suspects = [job_id for (job_id, _), is_orphan in zip(queued, standing, strict=True) if is_orphan]
    if suspects:
        redis.zadd(seen, dict.fromkeys(suspects, at), nx=True)
        redis.expire(seen, _DEATHS_KEPT)


def _queued_ids(redis: Any, names: dict[str, Any]) -> list[tuple[str, str]]:
    """(id, queue) of jobs that say `queued`, and were queued before the job that is next: in order they had been
    taken. An empty queue has no next job; one that was put at the front says nothing about those behind it."""
    heads = {name: _queued_at_the_head(redis, queue) for name, queue in names.items()}
    cursor, looked, found = int(redis.get(f"{_OURS}orphans-at") or 0), 0, []
    while looked < _KEYS_PER_SWEEP:
        cursor, keys = redis.scan(cursor, match=f"{Job.key_for('')}*", count=1000, _type="hash")
        looked += 1000
        with redis.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hmget(key, "status", "origin", "enqueued_at")
            for key, (status, origin, at) in zip(keys, pipeline.execute(), strict=True):
                name = as_text(origin or b"")
                if status == b"queued" and name in names and (not heads[name] or (at or b"") < heads[name]):
                    found.append((as_text(key).removeprefix(Job.key_for("")), name))
        if cursor == 0:
            break
    redis.set(f"{_OURS}orphans-at", cursor)
    return found


def _queued_at_the_head(redis: Any, queue: Any) -> bytes:
    """When the oldest of the first jobs was queued; nothing when there is none. (One at the front may be new.)"""
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in redis.lrange(queue.key, 0, _AT_THE_FRONT):
            pipeline.hget(Job.key_for(as_text(job_id)), "enqueued_at")
        return min((at for at in pipeline.execute() if at), default=b"")


def _orphan_call(queue: Any, job_id: str, *, is_seen: bool) -> Call:
    executions = ExecutionRegistry(job_id, queue.connection).key
    names = [Job.key_for(job_id), queue.key, queue.intermediate_queue_key, executions]
    return Call(_ORPHAN, names, [job_id, int(is_seen)])


# KEYS  1 job  2 queue  3 its intermediate list  4 executions of the job    ARGV  1 id  2 whether to put it back
_ORPHAN = Script("""
if redis.call('HGET', KEYS[1], 'status') ~= 'queued' then return 0 end
if redis.call('EXISTS', KEYS[4]) == 1 or redis.call('LPOS', KEYS[2], ARGV[1]) or redis.call('LPOS', KEYS[3], ARGV[1])
then return 0 end
if ARGV[2] == '1' then redis.call('RPUSH', KEYS[2], ARGV[1]) end
return 1
""")
