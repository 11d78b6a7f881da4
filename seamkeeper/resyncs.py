"""The resyncs of the access systems, as two doors see them: how far is one, how did the last end, when is the next?

The pass under way stands in Redis (workers/resync_pass.py writes it), the rhythm in SQL, so that it outlives both.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Connection, select

from seamkeeper import checkpoints, clock
from seamkeeper.database import checkpoints as rows
from seamkeeper.queues import RESYNC_SYSTEM, Queues
from seamkeeper.turn import text

_BEGINNING = "resync:"
_WISH_HOLDS = timedelta(hours=1)
_BATCH = 500
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One access system. `number` counts its passes; the last one is under way while `ended_at` is None. `outcome` is
    `ok`, `too_many_missing` or `failed`; `trouble` says why it waits or failed. `full_at`: when the last full one
    began. `acs_user_count`, `name` and `brand` (`Salto KS site`) are Seam's, at its last look."""

    acs_system_id: str
    number: int = 0
    began_at: datetime | None = None
    ended_at: datetime | None = None
    next_at: datetime | None = None
    full_at: datetime | None = None
    why: str | None = None
    outcome: str | None = None
    trouble: str | None = None
    pages: int = 0
    listed: int = 0
    written: int = 0
    asked: int = 0
    acs_user_count: int | None = None
    name: str | None = None
    brand: str | None = None

    @property
    def is_under_way(self) -> bool:
        """A pass has begun and not ended."""
        return self.began_at is not None and self.ended_at is None

    @property
    def took(self) -> timedelta | None:
        """How long the last pass took, with its pauses."""
        return self.ended_at - self.began_at if self.began_at and self.ended_at else None

    @classmethod
    def of(cls, acs_system_id: str, value: Mapping[str, Any] | None) -> Self:
        """Out of the checkpoint."""
        known = {field.name: (value or {}).get(field.name) for field in fields(cls)}
        known |= {name: clock.parse(known[name]) for name in _TIMES if known[name]}
        kept = {name: found for name, found in known.items() if found is not None}
        return cls(**{**kept, "acs_system_id": acs_system_id})

    def as_json(self) -> dict[str, Any]:
        """For the checkpoint and for programs."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: clock.iso(each) if isinstance(each, datetime) else each for name, each in found.items()}


_TIMES = ("began_at", "ended_at", "next_at", "full_at")


@dataclass(frozen=True, slots=True)
class Progress:
    """A pass under way: users listed, written at once and asked for, and pages, until now."""

    pages: int
    listed: int
    written: int
    asked: int
    is_listing: bool


def rhythm_of(connection: Connection, acs_system_id: str) -> Rhythm:
    """Of one access system, also of one that was never looked through."""
    return Rhythm.of(acs_system_id, checkpoints.read(connection, _name(acs_system_id)))


def rhythms(connection: Connection) -> list[Rhythm]:
    """Of all access systems that were ever looked through or planned, by id."""
    found = checkpoints.read_all(connection, _BEGINNING).values()
    return sorted((Rhythm.of(each["acs_system_id"], each) for each in found), key=lambda each: each.acs_system_id)


def change(connection: Connection, acs_system_id: str, **values: Any) -> Rhythm:
    """Writes some fields of the rhythm and leaves the others; in a transaction that locks it, since the clock and a
    pass both write."""
    locked = select(rows.c.value).where(rows.c.name == _name(acs_system_id)).with_for_update()
    before = Rhythm.of(acs_system_id, connection.execute(locked).scalar_one_or_none()).as_json()
    after = before | {name: clock.iso(each) if isinstance(each, datetime) else each for name, each in values.items()}
    checkpoints.write(connection, _name(acs_system_id), after)
    return Rhythm.of(acs_system_id, after)


def next_after(at: datetime, every: timedelta) -> datetime:
    """When the next is due: access systems that were looked through together must not come back together."""
    return at + every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 (spreading load, not a secret)


def ask(
    queues: Queues, acs_system_id: str, *, why: str, is_full: bool = False, accepts_missing: bool = False
) -> str:  # fmt: skip
    """Asks for a resync, and says what it shall be: `is_full`, also every managed user and everybody with an open issue
    is read again; `accepts_missing`: a person says that those who are missing were deleted, however many they are."""
    wishes = {name: 1 for name, is_it in (("full", is_full), ("accept", accepts_missing)) if is_it}
    if wishes:  # before the ask: the job that begins the pass takes them
        key = queues.keys.resync_wish(acs_system_id)
        queues.redis.hset(key, mapping=wishes)
        queues.redis.expire(key, _WISH_HOLDS)
    return queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why=why)


def progress(queues: Queues, acs_system_id: str) -> Progress | None:
    """How far the pass under way is; None when there is none."""
    found = {
        text(name): text(value) for name, value in queues.redis.hgetall(queues.keys.resync_pass(acs_system_id)).items()
    }
    if not found:
        return None
    pages, listed, written, asked = (int(found.get(name, 0)) for name in ("pages", "listed", "written", "asked"))
    return Progress(pages, listed, written, asked, is_listing=found.get("phase") == "listing")


def looks_left(queues: Queues, acs_system_id: str) -> int:
    """How many of the looks that passes asked for are not over yet."""
    key = queues.keys.resync_asked(acs_system_id)
    for some in _batches(queues, key):
        over = set(some) - queues.still_asked(dict.fromkeys(some, ""))
        if over:
            queues.redis.srem(key, *over)
    return int(queues.redis.scard(key))


def _batches(queues: Queues, key: str) -> Iterator[list[str]]:
    batch: list[str] = []
    for name in queues.redis.sscan_iter(key, count=_BATCH):
        batch.append(text(name))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _name(acs_system_id: str) -> str:
    """Within the 200 characters of a checkpoint's name."""
    is_long = len(acs_system_id) > 190
    return _BEGINNING + (hashlib.sha256(acs_system_id.encode()).hexdigest() if is_long else acs_system_id)
