"""THE CLOCK: what runs by itself, how often, and why. One literal table; seamkeeper/schedules.py keeps its times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from redis.exceptions import RedisError

from seamkeeper.queues import BACKFILL, CHECK_REGISTRATION, EVENTS, LOOK_AT_SYSTEMS, PRUNE, RESYNC, Queues
from seamkeeper.schedules import Schedules
from seamkeeper.settings import Settings

_JITTER = 0.1  # several installations must not ask Seam in the same second


@dataclass(frozen=True, slots=True)
class Schedule:
    """One line of the table: the job by name, its queue, and its interval from the settings (None: not at all)."""

    name: str
    function: str
    queue: str
    every: Callable[[Settings], timedelta | None]


_HOUR = timedelta(hours=1)

SCHEDULES: tuple[Schedule, ...] = (
    # Svix gives up after a day, and tells nobody here
    Schedule("backfill", BACKFILL, EVENTS, lambda told: told.backfill_every),
    # a webhook that somebody removed or narrowed tells nobody: Seam just delivers no more
    Schedule("registration", CHECK_REGISTRATION, RESYNC, lambda told: None if told.register == "off" else _HOUR),
    # Which access systems are due is decided anew each minute: their own rhythm is SEAMKEEPER_RESYNC_MINUTES.
    Schedule("systems", LOOK_AT_SYSTEMS, RESYNC, lambda _told: timedelta(minutes=1)),
    # What is too old goes, a little each hour.
    Schedule("retention", PRUNE, RESYNC, lambda _told: _HOUR),
)


def plan_all(queues: Queues, told: Settings) -> None:
    """The next run of each schedule that has none. Called by the scheduler that acts, as often as it likes."""
    schedules = Schedules(queues)
    for each in SCHEDULES:
        every = each.every(told)
        if every is not None:
            schedules.plan(each.name, each.function, each.queue, every=every, jitter=_JITTER)


@contextmanager
def run_of(name: str, queues: Queues) -> Iterator[None]:
    """Writes down when a run began and how it ended."""
    schedules = Schedules(queues)
    schedules.began(name)
    try:
        yield
    except BaseException:
        with suppress(RedisError):
            schedules.ended(name, "failed")
        raise
    schedules.ended(name, "ok")
