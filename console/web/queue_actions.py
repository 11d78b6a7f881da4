"""Pausing queues, asking a worker to end, and letting a schedule run now."""

from __future__ import annotations

from rq.command import send_shutdown_command

from console.web import work
from console.web.acting import Asked, Done, Refused, action
from console.web.asking import queues_of
from seamkeeper.queues import QUEUES
from seamkeeper.schedules import WORDS, Schedules

_TO = "/queues"


def pause(asked: Asked) -> Done:
    """Our workers take nothing more from it."""
    queue = _queue(asked)
    if not queues_of(asked.console).pause_queue(queue):
        raise Refused(f"The queue {queue} is paused already.", to=_TO)
    return Done(f"The queue {queue} is paused: what runs ends, what comes waits.", _TO)


def resume(asked: Asked) -> Done:
    """They take from it again."""
    queue = _queue(asked)
    if not queues_of(asked.console).resume_queue(queue):
        raise Refused(f"The queue {queue} is not paused.", to=_TO)
    return Done(f"The queue {queue} goes on.", _TO)


def run_now(asked: Asked) -> Done:
    """The next run of a schedule comes now, or as soon as the one under way is over."""
    name, schedules = asked.path["name"], Schedules(queues_of(asked.console))
    if name not in {each.name for each in schedules.all()}:
        raise Refused("There is no such schedule, or none was planned yet.", to=_TO)
    schedules.hurry(name)
    return Done(f"“{WORDS.get(name, name)}” comes now, or right after the run that is under way.", _TO)


def stop_worker(asked: Asked) -> Done:
    """It ends its jobs and takes no other; whoever started it (a supervisor, a container) may start it again."""
    name, redis = asked.path["name"], asked.console.redis
    found = next((worker for worker in work.workers(redis) if worker.name == name), None)
    if found is None or found.state == "lost":
        raise Refused("There is no such worker, or its heartbeat has ended.", to=_TO)
    send_shutdown_command(redis, name)
    return Done(
        f"The worker {name} was asked to end after its jobs; `seamkeeper worker` starts another in its place.", _TO
    )


def _queue(asked: Asked) -> str:
    queue = asked.path["queue"]
    if queue not in QUEUES:
        raise Refused("There is no such queue.", to=_TO)
    return queue


routes = [
    action("/queues/{queue}/pause", pause, name="queue.pause", kind="queue"),
    action("/queues/{queue}/resume", resume, name="queue.resume", kind="queue"),
    action("/queues/schedules/{name}/run", run_now, name="schedule.run", kind="schedule"),
    action("/queues/workers/{name}/stop", stop_worker, name="worker.stop", kind="worker", role="admin"),
]
