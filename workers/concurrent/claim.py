"""How jobs get from the queues to this worker, and back when nobody runs them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from sys import exc_info
from typing import Any
from uuid import uuid4

from rq.defaults import RQ_KEY_PREFIX
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE, Execution, ExecutionRegistry
from rq.job import Job
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import as_text, now, parse_composite_key, str_to_date, utcformat

from workers.concurrent.run import Raised, Run
from workers.concurrent.scripts import CLAIM, GIVE_BACK, Call, travel

_TIMES = (b"created_at", b"enqueued_at", b"started_at", b"ended_at", b"last_heartbeat")
PAUSED = f"{RQ_KEY_PREFIX}:seamkeeper:paused"  # a set of names: of queues whose jobs wait until somebody resumes them
SUSPENDED = None  # what the claim answers while RQ's workers are suspended (`rq suspend`)


def claim_call(worker: Any, count: int, *, lives: int) -> Call:
    """Asks for up to so many jobs, from the worker's queues in their order. `lives`: seconds without a heartbeat."""
    at = now()
    names = [WORKERS_SUSPENDED, worker.key, worker.executions_key, PAUSED]
    for queue, registry in zip(worker.queues, worker.registries, strict=True):
        names += (queue.key, registry.key)
    execution = Execution("", "", worker.connection)
    starts = [Job.key_for(""), execution.key.removesuffix(":"), ExecutionRegistry("", worker.connection).key]
    first = uuid4().int  # one system call for all of them; another claim's are as far away as those of any two uuids
    ids = [f"{(first + number) % 2**128:032x}" for number in range(count)]
    queues = [queue.name for queue in worker.queues]
    return Call(CLAIM, names, [worker.name, utcformat(at), at.timestamp(), lives, *starts, count, *ids, *queues])


def runs(worker: Any, answer: Sequence[Any]) -> list[Run]:
    """The claimed jobs. One whose hash RQ cannot read is a failure with its reason, not the end of the worker."""
    return [_run(worker, *claimed) for claimed in answer[1]]


def paused(worker: Any, answer: Sequence[Any]) -> frozenset[str]:
    """The worker's queues from which nothing may be taken now."""
    return frozenset(worker.queues[place].name for place in answer[0])


def _run(worker: Any, index: int, job_id: bytes, execution_id: bytes, fields: Sequence[bytes]) -> Run:
    queue = worker.queues[index]
    job = worker.job_class(job_id.decode(), connection=worker.connection)
    job.serializer = worker.serializer  # given to the class it would be checked again for each job, for 20 µs
    raised: Raised | None = None
    try:
        _restore(job, dict(zip(fields[::2], fields[1::2], strict=True)))
    except Exception as error:
        raised = (type(error), error, exc_info()[2])
        job.origin = queue.name
    execution = Execution(execution_id.decode(), job.id, worker.connection, worker.name)
    execution._job = job
    timeout = job.timeout or queue.DEFAULT_TIMEOUT
    return Run(
        job, queue, execution, worker.registries[index], timeout if timeout > 0 else math.inf, index=index,
        raised=raised, as_claimed=dict(vars(job)),
    )  # fmt: skip


def _restore(job: Any, fields: dict[bytes, bytes]) -> None:
    """RQ's own reading of a hash, but for its four times: `strptime` takes longer than all the rest of it."""
    times = {name: value for name in _TIMES if (value := fields.pop(name, b""))}
    job.restore(fields)
    for name, value in times.items():
        at = datetime.fromisoformat(value.decode()) if value.endswith(b"Z") else str_to_date(value)
        setattr(job, name.decode(), at)


def give_back(worker: Any, claimed: Iterable[Run]) -> int:
    """To the head of their queues: for jobs that this worker will not end. Gives how many were still its own."""
    calls = [_give_back_call(worker, run.queue, run.execution) for run in claimed]
    return sum(travel(worker.connection, calls)) if calls else 0


def give_back_unknown(worker: Any) -> int:
    """The answer to a claim got lost with the connection: what Redis believes to run here and does not, goes back."""
    key = WORKER_EXECUTIONS_KEY_TEMPLATE.format(worker.name)
    known = {execution.composite_key for execution in list(worker.executions.values())}
    calls = []
    for member in worker.connection.smembers(key):
        entry = as_text(member)
        if entry not in known:
            job_id, execution_id = parse_composite_key(entry)
            origin = as_text(worker.connection.hget(Job.key_for(job_id), "origin") or b"")
            execution = Execution(execution_id, job_id, worker.connection, worker.name)
            calls += [
                _give_back_call(worker, queue, execution) for queue in worker.queues if queue.name == origin
            ]  # fmt: skip
    return sum(travel(worker.connection, calls)) if calls else 0


def _give_back_call(worker: Any, queue: Any, execution: Any) -> Call:
    names = [
        queue.started_job_registry.key, queue.key, Job.key_for(execution.job_id), execution.key,
        ExecutionRegistry(execution.job_id, worker.connection).key, worker.executions_key,
    ]  # fmt: skip
    return Call(GIVE_BACK, names, [execution.composite_key, execution.job_id, execution.id])
