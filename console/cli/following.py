"""How far are the resyncs and looks that were asked for? For who waits for them; nothing of it is theirs to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seamkeeper.turn import text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seamkeeper.queues import Queues
    from seamkeeper.resyncs import Rhythm

_LOOK = 0.3  # seconds


@dataclass(frozen=True, slots=True)
class Awaited:
    """What somebody waits for: users, and of each access system the number of the pass that began after the ask. Which
    systems `all` are is known when the job that asks Seam (`all_job`) is over; `before` are the passes until then."""

    users: frozenset[str]
    passes: dict[str, int]
    before: Mapping[str, int]
    all_job: str | None = None


@dataclass(slots=True)
class Seen:
    """One moment: users listed of about so many, pages, and the looks at users that are not over."""

    listed: int = 0
    about: int = 0
    pages: int = 0
    looks: int = 0
    open_passes: int = 0
    is_all_known: bool = True
    systems: list[Rhythm] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Nothing is left to wait for."""
        return self.is_all_known and not self.open_passes and not self.looks


def follow(engine: Engine, queues: Queues, awaited: Awaited, *, patience: float) -> Iterator[Seen]:
    """Looks again and again, until all is over or nothing moved for `patience` seconds."""
    moved, before = time.monotonic(), None
    all_job = awaited.all_job
    while True:
        if all_job and (names := _asked_by(queues, all_job)) is not None:
            awaited.passes.update({name: awaited.before.get(name, 0) + 1 for name in names})
            all_job = None
        seen = _look(engine, queues, awaited)
        seen.is_all_known = all_job is None
        yield seen
        now = (seen.listed, seen.pages, seen.looks, seen.open_passes, seen.is_all_known)
        if now != before:
            moved, before = time.monotonic(), now
        if seen.is_over or time.monotonic() - moved > patience:
            return
        time.sleep(_LOOK)


def _look(engine: Engine, queues: Queues, awaited: Awaited) -> Seen:
    from seamkeeper import database, mirror, resyncs

    seen = Seen(looks=len(queues.still_asked(dict.fromkeys(awaited.users, ""))) if awaited.users else 0)
    with database.reading(engine) as connection:
        for acs_system_id, number in sorted(awaited.passes.items()):
            rhythm = resyncs.rhythm_of(connection, acs_system_id)
            is_begun = rhythm.number >= number
            is_over = is_begun and not rhythm.is_under_way  # a later one under way has no outcome to tell yet
            seen.systems.append(rhythm)
            seen.open_passes += not is_over
            found = resyncs.progress(queues, acs_system_id) if is_begun and not is_over else None
            at = rhythm if is_over else found
            seen.listed, seen.pages = seen.listed + (at.listed if at else 0), seen.pages + (at.pages if at else 0)
            counted = rhythm.acs_user_count or mirror.count_of_system(connection, acs_system_id)
            seen.about += at.listed if at and is_over else max(counted, at.listed if at else 0)
            seen.looks += resyncs.looks_left(queues, acs_system_id)
    return seen


def _asked_by(queues: Queues, job_id: str) -> list[str] | None:
    """The access systems that the job asked for; None until it is done."""
    from rq.exceptions import NoSuchJobError
    from rq.job import Job
    from rq.serializers import JSONSerializer

    try:
        found = Job.fetch(job_id, connection=queues.redis, serializer=JSONSerializer).return_value()
    except NoSuchJobError:
        return []
    return [text(name) for name in found] if isinstance(found, list) else None
