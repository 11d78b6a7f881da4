"""Backfills that a person asked for: a span of time, how far it is fetched, and what was found."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from seamkeeper import checkpoints, clock
from seamkeeper.queues import BACKFILL_SPAN, EVENTS, Queues
from seamkeeper.rqjob import Job

_NAME = "backfill span "


def begin(connection: Connection, since: datetime, until: datetime, *, is_dry: bool, by: str) -> str:
    """Writes it down; gives its name. `ask` then lets a worker go on with it."""
    name = uuid.uuid4().hex[:12]
    span = {"since": clock.iso(since), "until": clock.iso(until), "place": clock.iso(since), "is_dry": is_dry, "by": by}
    keep(connection, name, span | {"state": "running", "asked_at": clock.iso(clock.now())})
    return name


def ask(queues: Queues, name: str) -> None:
    """One slice of it, soon."""
    job = Job(f"backfill-{uuid.uuid4().hex}", BACKFILL_SPAN, {"name": name}, f"backfill of a span ({name})")
    queues.ask_once(queues.keys.waiting(job.job_id), job, queue=EVENTS)


def keep(connection: Connection, name: str, span: dict[str, Any]) -> None:
    """How far it is."""
    checkpoints.write(connection, _NAME + name, span)


def find(connection: Connection, name: str) -> dict[str, Any] | None:
    """`since`, `until`, `place`, `is_dry`, `by`, `state` (running, stopped, done, failed with its
    `reason`), and the counts of workers/backfill.py; None when there is no such span."""
    found: dict[str, Any] | None = checkpoints.read(connection, _NAME + name)
    return found


def begin_anew(connection: Connection) -> list[str]:
    """Those that run go back to their beginning; gives their names. `ask` for each of them then."""
    running = {
        name: span for name, span in checkpoints.read_all(connection, _NAME).items() if span["state"] == "running"
    }
    for name, span in running.items():
        keep(connection, name, span | {"place": span["since"]})
    return list(running)
