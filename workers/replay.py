"""One step of a replay: so many events become their ordinary jobs again, then the next step is asked for.

A step looks at the clock of the replay (its rate), and at the queue: it stands back while live events wait. Between the
pushing and the note of its place it may die; then the step is taken again, and what it had pushed is passed over while
it waits, or handled once more, which is harmless: a user is read afresh.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from seamkeeper import database, logs, replays
from seamkeeper.queues import EVENTS
from seamkeeper.replays import Chosen, Item, Place
from seamkeeper.requeue import IDLE, Requeue

if TYPE_CHECKING:
    from workers.tools import Tools

_STEP = 2.0  # seconds between steps, where the rate is high enough
_LONGEST = 15.0  # seconds of looking for something to replay
_WAITING = 100  # events in the queue: while more of them wait, a replay does not add to them


@dataclass(slots=True)
class _Step:
    place: Place | None
    done: int = 0
    skipped: int = 0
    is_over: bool = False


def take_step(tools: Tools, replay_id: int, *, job_id: str) -> None:
    """The next step, unless the replay was stopped, or another job is at it."""
    if not tools.queues.replay_begins(replay_id, job_id=job_id):
        return
    with database.reading(tools.engine) as connection:
        row = replays.find(connection, replay_id)
    if row is None or row["state"] != "running":
        tools.queues.replay_ends(replay_id, job_id=job_id)
        return
    step = _take(tools, row)
    with tools.engine.begin() as connection:
        replays.advance(
            connection, replay_id, step.place, done=step.done, skipped=step.skipped, is_over=step.is_over
        )  # fmt: skip
    tools.queues.replay_ends(replay_id, job_id=job_id)
    numbers: dict[str, Any] = {"done": row["done"] + step.done, "skipped": row["skipped"] + step.skipped}
    if step.is_over:
        logs.get().info("replay.done", replay_id=replay_id, matched=row["matched"], **numbers)
    else:
        delay = timedelta(seconds=max(1.0, step.done * 60 / row["rate"]))
        tools.queues.ask_replay(replay_id, delay=delay)


def _take(tools: Tools, row: dict[str, Any]) -> _Step:
    chosen, step, until = Chosen.of_json(row["chosen"]), _Step(row["place"]), time.monotonic() + _LONGEST
    requeue = Requeue(tools.queues)
    wanted = _how_many(tools, row, chosen)
    is_last = chosen.at_most is not None and wanted >= chosen.at_most - row["done"]
    while step.done < wanted and time.monotonic() < until:
        with database.reading(tools.engine) as connection:
            items, place = replays.page(connection, chosen, step.place, limit=min(wanted - step.done, replays.PAGE))
        done = _replay(tools, requeue, items, why=f"replay {row['replay_id']} by {row['asked_by']}")
        step = replace(step, place=place, done=step.done + done, skipped=step.skipped + len(items) - done)
        if place is None:
            step.is_over = True
            break
    step.is_over = step.is_over or (is_last and step.done >= wanted)
    return step


def _how_many(tools: Tools, row: dict[str, Any], chosen: Chosen) -> int:
    """By the rate, by what is left of `--max`, and by what waits before them."""
    by_rate = max(1, math.ceil(row["rate"] * _STEP / 60))
    waiting = tools.queues.redis.llen(tools.queues.keys.queue(EVENTS))
    left = math.inf if chosen.at_most is None else chosen.at_most - row["done"]
    return int(max(0, min(by_rate, left, max(_WAITING, by_rate) - waiting)))


def _replay(tools: Tools, requeue: Requeue, items: list[Item], *, why: str) -> int:
    """How many of them come again."""
    ready = [item for item, obstacle in zip(items, replays.obstacles(requeue, items), strict=True) if not obstacle]
    done = _events(tools, requeue, [item.subject_id for item in ready if item.kind == "event"])
    for item in ready:
        if item.kind == "user":
            tools.queues.ask_reconcile(item.subject_id, why=why, source="replay")
            done += 1
        elif item.kind == "job":
            done += requeue.job(item.subject_id) == IDLE
    return done


def _events(tools: Tools, requeue: Requeue, event_ids: list[str]) -> int:
    with database.reading(tools.engine) as connection:
        return replays.again(connection, requeue, event_ids)
