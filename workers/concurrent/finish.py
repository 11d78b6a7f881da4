"""What became of a job, written as RQ writes it: the plain ones together, the unusual ones by RQ's own methods."""

from __future__ import annotations

import logging
import sys
from typing import Any

from redis.exceptions import RedisError
from rq.callbacks import execute_stopped_callback
from rq.job import Retry
from rq.utils import now

from workers.concurrent.run import Run
from workers.concurrent.scripts import Unit, recorded, recorder

_log = logging.getLogger("rq.worker")


def prepare(worker: Any, run: Run) -> bool:
    """True when the end is a few writes that depend on nothing but themselves; they are in `run.unit` then."""
    if not _is_plain(run, worker.default_result_ttl):
        return False
    try:
        run.unit = _plain_unit(worker, run)
    except Exception:
        _log.exception("Worker %s: the end of job %s", worker.name, run.job.id)
        return False
    return True


def _is_plain(run: Run, default_result_ttl: int) -> bool:
    job = run.job
    return not (
        run.raised
        or isinstance(run.value, Retry)
        or job.repeats_left
        or job.has_rate_limit
        or job._success_callback_name
        or job.webhooks
        or job.get_result_ttl(default_result_ttl) == 0  # RQ reads before it deletes
    )


def _plain_unit(worker: Any, run: Run) -> Unit:
    """The commands of RQ's `_finalize_success` and `handle_job_success` for a plain job, recorded from RQ's methods."""
    job, execution = run.job, run.execution
    job.ended_at = now()
    job._result = run.value
    pipeline = recorder(worker.connection)
    job.heartbeat(job.ended_at, 0, pipeline=pipeline)
    worker.increment_successful_job_count(pipeline=pipeline)
    worker.increment_total_working_time(job.ended_at - (job.started_at or job.ended_at), pipeline)
    ttl = job.get_result_ttl(worker.default_result_ttl)
    job._handle_success(
        ttl, pipeline=pipeline, worker_name=worker.name, execution_id=execution.id,
        execution_started_at=execution.created_at, execution_ended_at=job.ended_at,
    )  # fmt: skip
    job.cleanup(ttl, pipeline=pipeline, remove_from_queue=False)
    execution.delete(run, pipeline)  # type: ignore[arg-type]  # asks for the registry only; RQ's job makes it anew
    return Unit(run.registry, run.entry, recorded(pipeline), dependents=job.dependents_key)


def by_rqs_methods(worker: Any, run: Run) -> None:
    """As RQ's `perform_job` ends a job: failures, retries, callbacks, repeats, limits, webhooks, no result kept.

    What Redis does not take now is left in the started registry: without heartbeats the job comes back by the sweep.
    """
    try:
        if run.raised is not None:
            worker._finalize_failure(run.job, run.queue, run.execution, run.raised)
            return
        try:
            worker._finalize_success(run.job, run.queue, run.execution, run.value)
        except RedisError:
            raise
        except Exception:
            worker._finalize_failure(run.job, run.queue, run.execution, sys.exc_info())
    except RedisError as error:
        _log.warning("Worker %s: the end of job %s was not written: %s", worker.name, run.job.id, error)
    except Exception:
        _log.exception("Worker %s: the end of job %s", worker.name, run.job.id)
    finally:
        worker.executions.pop(run.execution.id, None)


def with_dependents(worker: Any, run: Run) -> None:
    """A job that others wait for: RQ's own transaction, which watches them."""
    registry = run.queue.started_job_registry
    try:
        worker.handle_job_success(run.job, run.queue, registry, run.execution)
    except RedisError as error:
        _log.warning("Worker %s: the end of job %s was not written: %s", worker.name, run.job.id, error)
    finally:
        worker.executions.pop(run.execution.id, None)


def as_stopped(worker: Any, run: Run) -> None:
    """A job that was stopped by RQ's command, as RQ's `monitor_work_horse` ends it."""
    run.job.ended_at = now()
    try:
        execute_stopped_callback(run.job, worker.death_penalty_class)
    except Exception:
        _log.exception("Worker %s: the stopped callback of job %s", worker.name, run.job.id)
    try:
        words = "Job stopped by user."
        worker.handle_job_failure(run.job, queue=run.queue, exc_string=words, execution=run.execution)
    except RedisError as error:
        _log.warning("Worker %s: the end of job %s was not written: %s", worker.name, run.job.id, error)
    finally:
        worker.executions.pop(run.execution.id, None)
