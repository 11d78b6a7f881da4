"""What may be done with a job of RQ's: again, cancelled, removed; one, or those that were chosen on a page.

Nothing here puts a second job of one event beside the first, and none that a worker has begun is taken from it: each
step is one Lua call that looks first (seamkeeper/requeue.py, seamkeeper/cancel.py), or RQ's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from redis import Redis, WatchError
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.exc import SQLAlchemyError

from console.web import words, work
from console.web.acting import Asked, Done, Refused, action
from console.web.asking import queues_of
from console.web.kept_events import keep_cancelled, keep_deleted
from seamkeeper import cancel
from seamkeeper.keys import Keys
from seamkeeper.queues import QUEUES, Queues
from seamkeeper.requeue import IDLE, WAITING, Requeue

_AGAIN = ("failed", "stopped", "canceled")
_ENDED = (*_AGAIN, "finished")
_FORGOTTEN = "RQ does not know this job any more."

# What became of one job: a word that is counted, and the sentence for a page about that job alone.
_SAID = {
    "requeued": "It is in its queue again, with all its tries.",
    "hurried": "It comes now instead of at its time.",
    "cancelled": "It is cancelled and will not run.",
    "stopping": "Its worker was asked to stop it.",
    "deleted": "It is deleted.",
    "waiting": "It waits or runs already.",
    "running": "A worker has begun it meanwhile.",
    "ended": "It has ended, so there is nothing to cancel.",
    "finished": "It ended well. To do its work once more, replay its event.",
    "alive": "It waits or runs: cancel it first.",
    "forgotten": _FORGOTTEN,
}
_DONE = ("requeued", "hurried", "cancelled", "stopping", "deleted")
Do = Callable[[Asked, str], str]


def requeue(asked: Asked, job_id: str) -> str:
    """Back into its queue; one that waits for its time comes now."""
    job, queues = _find(asked.console.redis, job_id), queues_of(asked.console)
    if job is None:
        return "forgotten"
    status = _status(job)
    if status == "scheduled" and cancel.come_now(queues.redis, queues.keys, job.id, job.origin):
        return "hurried"
    if status not in _AGAIN:
        return "finished" if status == "finished" else "waiting"
    return {IDLE: "requeued", WAITING: "waiting"}.get(_again(queues, job), "forgotten")


def cancel_job(asked: Asked, job_id: str) -> str:
    """Not run: out of where it waits, or stopped. An event whose job is cancelled stands among the dead letters."""
    console, keys = asked.console, Keys(asked.console.settings.redis_key_prefix)
    job = _find(console.redis, job_id)
    if job is None:
        return "forgotten"
    status = _status(job)
    if status == "started":
        return _stop(console.redis, job)
    if status in _ENDED:
        return "ended"
    answer = cancel.NOT_WAITING
    try:
        with console.engine.begin() as connection:  # the journal's lines stay only if the job was taken
            keep_cancelled(connection, job, by=asked.person.name)
            answer = cancel.cancel(console.redis, keys, job.id, job.origin)
            if answer != cancel.TAKEN:
                connection.rollback()
    except SQLAlchemyError:
        if answer == cancel.TAKEN:  # it was taken, and nobody knows whether its event was kept: let it run after all
            _again(queues_of(console), job)
        raise
    return {cancel.TAKEN: "cancelled", cancel.NOT_WAITING: "running"}.get(answer, "forgotten")


def delete(asked: Asked, job_id: str) -> str:
    """RQ forgets it; its event, if it had one, stays in the journal. Not one that somebody requeued meanwhile."""
    console = asked.console
    with console.redis.pipeline() as pipeline:
        pipeline.watch(Keys(console.settings.redis_key_prefix).job(job_id))  # type: ignore[no-untyped-call]
        job = _find(console.redis, job_id)
        if job is None:
            return "forgotten"
        if _status(job) not in _ENDED:
            return "alive"
        with console.engine.begin() as connection:
            keep_deleted(connection, job, by=asked.person.name)
        pipeline.multi()
        job.delete(pipeline=pipeline)
        try:
            pipeline.execute()
        except WatchError:
            return "alive"
    return "deleted"


def _one(do: Do) -> Callable[[Asked], Done]:
    def act(asked: Asked) -> Done:
        job_id = asked.path["job_id"]
        became = do(asked, job_id)
        to = f"/jobs/{words.segment(job_id)}" if became not in ("deleted", "forgotten") else "/queues"
        if became not in _DONE:
            raise Refused(_SAID[became], to=to)
        return Done(_SAID[became], to, {"became": became})

    return act


def _chosen(do: Do) -> Callable[[Asked], Done]:
    def act(asked: Asked) -> Done:
        queue, state = asked.path["queue"], asked.path["registry"]
        if queue not in QUEUES or state not in work.STATES:
            raise Refused("There is no such queue or registry.", to="/queues")
        to, ids = f"/queues/{queue}/{state}", list(dict.fromkeys(asked.form.get("id", [])))[: work.PAGE]
        if not ids:
            raise Refused("Choose at least one job.", to=to)
        became = {job_id: do(asked, job_id) for job_id in ids}
        numbers = Counter(became.values())
        done = sum(numbers[each] for each in _DONE)
        said = ", ".join(f"{number} {_counted(each)}" for each, number in numbers.most_common())
        if not done:
            raise Refused(f"Nothing was done: {said}.", to=to)
        return Done(f"{done} of {len(ids)}: {said}.", to, {"numbers": dict(numbers), "ids": ids})

    return act


def _counted(became: str) -> str:
    return {
        "hurried": "come now", "stopping": "asked to stop", "waiting": "wait or run already", "running": "just begun",
        "ended": "had ended", "finished": "ended well", "alive": "still wait or run", "forgotten": "not known any more",
    }.get(became, became)  # fmt: skip


def _again(queues: Queues, job: Job) -> int:
    answer = Requeue(queues).job(job.id)
    if answer == IDLE:
        queues.redis.zrem(queues.keys.canceled(job.origin), job.id)
    return answer


def _stop(redis: Redis, job: Job) -> str:
    try:
        send_stop_job_command(redis, job.id, serializer=JSONSerializer)
    except (InvalidJobOperation, NoSuchJobError):
        return "running"
    return "stopping"


def _find(redis: Redis, job_id: str) -> Job | None:
    try:
        return Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
    except (NoSuchJobError, ValueError):  # ValueError: no job of RQ can have this id
        return None


def _status(job: Job) -> str:
    return str(job.get_status(refresh=False).value)


routes = [
    action("/jobs/{job_id}/requeue", _one(requeue), name="job.requeue", kind="job"),
    action("/jobs/{job_id}/cancel", _one(cancel_job), name="job.cancel", kind="job"),
    action("/jobs/{job_id}/delete", _one(delete), name="job.delete", kind="job", role="admin"),
    action("/queues/{queue}/{registry}/requeue", _chosen(requeue), name="job.requeue", kind="jobs"),
    action("/queues/{queue}/{registry}/cancel", _chosen(cancel_job), name="job.cancel", kind="jobs"),
    action("/queues/{queue}/{registry}/delete", _chosen(delete), name="job.delete", kind="jobs", role="admin"),
]
