"""What became of a job, written as RQ writes it: the plain ones together, the unusual ones by RQ's own methods."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError
from rq.callbacks import execute_stopped_callback
from rq.executions import Execution, ExecutionRegistry
from rq.job import Job, JobStatus, Retry
from rq.registry import FinishedJobRegistry
from rq.results import Result
from rq.utils import current_timestamp, now, utcformat

from workers.concurrent.run import Run
from workers.concurrent.scripts import FINISH, WRITTEN, Call, Unit, recorded, recorder, settle_call, travel

_log = logging.getLogger("rq.worker")


def prepare(worker: Any, run: Run) -> bool:
    """True when the end is a few writes that depend on nothing but themselves: `run.line` or `run.unit` then."""
    job = run.job
    ttl = job.get_result_ttl(worker.default_result_ttl)
    if not _is_plain(run, ttl):
        return False
    try:
        job.ended_at = now()
        if _is_as_claimed(run) and (ttl > 0 or ttl == -1):
            run.line = _line(run, ttl)
        else:
            run.unit = _unit(worker, run, ttl)
    except Exception:
        _log.exception("Worker %s: the end of job %s", worker.name, run.job.id)
        return False
    return True


def commits(worker: Any, finished: Sequence[Run]) -> list[tuple[Call, list[Run]]]:
    """The calls that write prepared ends; each answers what became of its runs, in their order."""
    lines = [run for run in finished if run.line]
    units = [run for run in finished if run.unit is not None]
    calls = [(_finish_call(worker, lines), lines)] if lines else []
    if units:
        calls.append((settle_call([run.unit for run in units if run.unit is not None]), units))
    return calls


def _is_plain(run: Run, ttl: int) -> bool:
    job = run.job
    return not (
        run.raised
        or isinstance(run.value, Retry)
        or job.repeats_left
        or job.has_rate_limit
        or job._success_callback_name
        or job.webhooks
        or ttl == 0  # RQ reads before it deletes
    )


# What running a function changes in RQ's job by itself.
_CHANGED_BY_RUNNING = frozenset({"_result", "_func_name", "_instance", "_args", "_kwargs", "ended_at"})


def _is_as_claimed(run: Run) -> bool:
    """RQ writes all the fields of the job again, for functions that set some of them. Most do not."""
    before, job = run.as_claimed, run.job
    return not job._dependency_ids and all(
        value is before.get(name, run) or name in _CHANGED_BY_RUNNING for name, value in vars(job).items()
    )


def _line(run: Run, ttl: int) -> tuple[Any, ...]:
    job, execution = run.job, run.execution
    ended_at = job.ended_at or now()
    job._status = JobStatus.FINISHED
    return (
        run.index, job.id, execution.id, execution.created_at.timestamp(), ended_at.timestamp(), utcformat(ended_at),
        (ended_at - (job.started_at or ended_at)).total_seconds(), ttl, _result(run),
    )  # fmt: skip


def _result(run: Run) -> str:
    """As RQ keeps it; what its serializer cannot take is replaced by words that say so."""
    if run.value is None:
        return ""
    return str(Result(run.job.id, Result.Type.SUCCESSFUL, run.job.connection, return_value=run.value,
                  serializer=run.job.serializer).serialize()["return_value"])  # fmt: skip


def _finish_call(worker: Any, runs: Sequence[Run]) -> Call:
    names = [worker.key, worker.executions_key]
    for queue, registry in zip(worker.queues, worker.registries, strict=True):
        names += (registry.key, FinishedJobRegistry.key_template.format(queue.name))
    execution = Execution("", "", worker.connection)
    arguments: list[Any] = [
        worker.name, Job.key_for(""), execution.key.removesuffix(":"), ExecutionRegistry("", worker.connection).key,
        Result.get_key(""), current_timestamp(),  # type: ignore[no-untyped-call]
    ]  # fmt: skip
    for run in runs:
        arguments += run.line
    return Call(FINISH, names, arguments)


def _unit(worker: Any, run: Run, ttl: int) -> Unit:
    """The commands of RQ's `_finalize_success` and `handle_job_success` for a plain job, recorded from RQ's methods."""
    job, execution = run.job, run.execution
    ended_at = job.ended_at or now()
    pipeline = recorder(worker.connection)
    job.heartbeat(ended_at, 0, pipeline=pipeline)
    worker.increment_successful_job_count(pipeline=pipeline)
    worker.increment_total_working_time(ended_at - (job.started_at or ended_at), pipeline)
    job._handle_success(
        ttl, pipeline=pipeline, worker_name=worker.name, execution_id=execution.id,
        execution_started_at=execution.created_at, execution_ended_at=ended_at,
    )  # fmt: skip
    job.cleanup(ttl, pipeline=pipeline, remove_from_queue=False)
    execution.delete(run, pipeline)  # type: ignore[arg-type]  # asks for the registry only; RQ's job makes it anew
    return Unit(run.registry, run.entry, recorded(pipeline), dependents=job.dependents_key)


def by_rqs_methods(worker: Any, run: Run) -> None:
    """As RQ's `perform_job` ends a job: failures, retries, callbacks, repeats, limits, webhooks, no result kept."""
    _end(worker, run, _as_rq_does)
    if run.raised is not None and run.job._status == JobStatus.FAILED:
        kind, error, _ = run.raised
        worker.tell_set_aside(run.job, f"{kind.__name__}: {error}")


def with_dependents(worker: Any, run: Run) -> None:
    """A job that others wait for, or whose hash is gone: RQ's own transaction, which watches them."""
    _end(worker, run, lambda worker, run: worker.handle_job_success(
        run.job, run.queue, run.started_job_registry, run.execution
    ))  # fmt: skip


def as_stopped(worker: Any, run: Run) -> None:
    """A job that was stopped by RQ's command, as RQ's `monitor_work_horse` ends it."""
    _end(worker, run, _as_rq_stops)


def _as_rq_does(worker: Any, run: Run) -> None:
    if run.raised is not None:
        worker._finalize_failure(run.job, run.queue, run.execution, run.raised)
        return
    try:
        worker._finalize_success(run.job, run.queue, run.execution, run.value)
    except RedisError:
        raise
    except Exception:
        worker._finalize_failure(run.job, run.queue, run.execution, sys.exc_info())


def _as_rq_stops(worker: Any, run: Run) -> None:
    run.job.ended_at = now()
    try:
        execute_stopped_callback(run.job, worker.death_penalty_class)
    except Exception:
        _log.exception("Worker %s: the stopped callback of job %s", worker.name, run.job.id)
    words = "Job stopped by user."
    worker.handle_job_failure(run.job, queue=run.queue, exc_string=words, execution=run.execution)


def _end(worker: Any, run: Run, write: Callable[[Any, Run], None]) -> None:
    """RQ's methods do not ask whether the execution still is this worker's: it is asked here, and made young again, so
    that no sweep takes the job while they write. What Redis does not take now is left in the started registry: without
    heartbeats the job comes back by the sweep."""
    try:
        if _is_still_ours(worker, run):
            write(worker, run)
        else:
            _log.warning("Worker %s: job %s was taken away; its end is not written", worker.name, run.job.id)
    except RedisError as error:
        _log.warning("Worker %s: the end of job %s was not written: %s", worker.name, run.job.id, error)
    except Exception:
        _log.exception("Worker %s: the end of job %s", worker.name, run.job.id)
    finally:
        worker.executions.pop(run.execution.id, None)


def _is_still_ours(worker: Any, run: Run) -> bool:
    again = ("ZADD", run.registry, "XX", "GT", current_timestamp() + worker.lives, run.entry)
    return travel(worker.connection, [settle_call([Unit(run.registry, run.entry, [again])])]) == [[WRITTEN]]
