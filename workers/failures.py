"""Every try of a job has a line; every failure becomes "again, then" or "dead, because"."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from rq import get_current_job

from seamkeeper import clock, journal, logs
from seamkeeper.errors import Permanent, SeamkeeperError, Temporary
from seamkeeper.queues import jittered
from workers.tools import Tools


@contextmanager
def attempt(
    tools: Tools, name: str, *, event_id: str | None = None, event_type: str | None = None,
    acs_user_id: str | None = None, counter: str | None = None, settles: bool = True,
) -> Iterator[None]:  # fmt: skip
    """Records one try and how it ended, and settles the event it belongs to (unless it is not the one who `settles`).

    Retrying is RQ's: a Temporary (or unexpected) error sets the delay of RQ's next try, never shorter than the other
    side asked for; a Permanent one takes the tries away. The error travels on, so that RQ's registries show it.
    """
    job = get_current_job()
    with tools.engine.begin() as connection:
        number = journal.begin_attempt(
            connection, job_id=job.id if job else "", job=name, event_id=event_id, acs_user_id=acs_user_id
        )
    log = logs.get().bind(job=name, job_id=job.id if job else None, event_id=event_id, acs_user_id=acs_user_id)
    counter = counter or (f"event_attempts:{event_type}" if event_type else "user_attempts")
    try:
        yield
    except Exception as error:
        delay, reason = _judge(tools, job, error), reason_of(error)
        outcome = "dead" if delay is None else "retry"
        next_at = None if delay is None else clock.now() + delay
        with tools.engine.begin() as connection:
            journal.end_attempt(connection, number, outcome, reason=reason, next_at=next_at)
            if event_id and settles:
                status = "dead" if delay is None else "retrying"
                journal.settle(connection, event_id, status, reason=reason)
        tools.queues.count(f"{counter}:{outcome}")
        unexpected = not isinstance(error, SeamkeeperError)
        log.warning(f"job.{outcome}", reason=reason, next_at=next_at and clock.iso(next_at), exc_info=unexpected)
        raise
    with tools.engine.begin() as connection:
        journal.end_attempt(connection, number, "ok")
    tools.queues.count(f"{counter}:ok")
    log.info("job.done")


def reason_of(error: BaseException) -> str:
    """One sentence for the person who reads the console; of an unexpected error the place, not its words: they may
    hold values of people."""
    if isinstance(error, SeamkeeperError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"unexpected {type(error).__name__} in {ours[-1].name}, line {ours[-1].lineno} of {_file(ours[-1].filename)}"


def _judge(tools: Tools, job: Any, error: Exception) -> timedelta | None:
    """How long until RQ tries again, told to RQ's job; None when it will not."""
    if job is None:
        return None
    if isinstance(error, Permanent):
        job.retries_left = 0
    if not job.retries_left:
        return None
    delays = tools.settings.retry_delays
    index = min(max(len(delays) - job.retries_left, 0), len(delays) - 1)
    asked = error.delay if isinstance(error, Temporary) and error.delay else timedelta()
    seconds = max(jittered(delays[index]), int(asked.total_seconds()))
    job.retry_intervals = [seconds] * len(delays)
    return timedelta(seconds=seconds)


def _file(path: str) -> str:
    return "/".join(path.split("/")[-2:])
