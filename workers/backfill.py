"""Backfill: fetch the events that no delivery brought, from `/events/list`.

A checkpoint per workspace says up to where everything is safely queued. Each run goes back a few minutes over it (Seam
stamps an event before it lists it) and on to Seam's present, window by window; a full answer halves the window. What
it finds goes the way of every event: the same dedupe, the same queue. The order of the answers does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from seamkeeper import checkpoints, clock, database, journal, logs, registration
from seamkeeper.accept import BACKFILLED, accept, event_job, unreadable_job
from seamkeeper.errors import Permanent, Temporary, UnreadableEvent
from seamkeeper.events import quarantine_id, read_event
from seamkeeper.rqjob import Job
from workers.concurrent.deadline import remaining
from workers.seam_api import MOST_EVENTS
from workers.tools import Tools
from workers.webhooks import ALL, wanted_types

CHECKPOINT = "backfill:"
_A_DAY = timedelta(days=1)
_EDGE = timedelta(milliseconds=1)  # both ends of a window are excluded: neighbours overlap by this
_NARROWEST = timedelta(milliseconds=2)
_ENOUGH = 0.5  # of a job's time


@dataclass(slots=True)
class Count:
    """What a run found: events listed, brought (new, and in the queue now), of these missed (of a type that every
    webhook of ours brings), those that are no events, calls made."""

    listed: int = 0
    brought: int = 0
    missed: int = 0
    unreadable: int = 0
    calls: int = 0
    oldest_missed_at: str | None = None  # when Seam made it


def by_the_clock(tools: Tools) -> tuple[Count, bool]:
    """One run from the checkpoint to Seam's present; and whether it came so far, or is to go on."""
    name = CHECKPOINT + _workspace(tools)
    end = present(tools)
    with database.reading(tools.engine) as connection:
        known: dict[str, Any] = checkpoints.read(connection, name) or {}
    start, looked_back_at = _start(tools, known, end)

    def safe_until(moment: datetime) -> None:
        nonlocal known
        now = {"until": clock.iso(moment), "looked_back_at": looked_back_at}
        with tools.engine.begin() as connection:
            if (checkpoints.read(connection, name, to_write=True) or {}) != known:
                # By the watchdog: what this run queued before may be lost. Or another run is at it.
                raise Temporary("the watermark of the backfill was moved meanwhile: it begins anew from there")
            checkpoints.write(connection, name, now)
        known = now

    count = Count()
    place = fetch(tools, start, end, count, safe_until=safe_until)
    logs.get().info("backfill.done" if place == end else "backfill.goes_on", until=clock.iso(place), **asdict(count))
    return count, place == end


def fetch(
    tools: Tools, start: datetime, end: datetime, count: Count, *, safe_until: Any, is_dry: bool = False
) -> datetime:
    """All events between two moments into the queue, as far as half of the job's time leads; gives the place reached.
    `safe_until` is called with each place up to which all is queued."""
    usual = tools.settings.job_timeout.total_seconds()
    place, width = start, end - start
    while place < end:
        if remaining(usual) < usual * _ENOUGH and place > start:
            return place
        stop = min(place + width, end)
        found = _listed(tools, place - _EDGE, stop + _EDGE, count)
        if len(found) >= MOST_EVENTS and stop - place > _NARROWEST:
            width = (stop - place) / 2
            continue
        if len(found) >= MOST_EVENTS:
            found = _by_offset(tools, place - _EDGE, stop + _EDGE, found, count)
        take(tools, found, count, is_dry=is_dry)
        place, width = stop, (stop - place) * 2 if len(found) < MOST_EVENTS / 4 else stop - place
        safe_until(place)
    return place


def take(tools: Tools, found: Sequence[Mapping[str, Any]], count: Count, *, is_dry: bool = False) -> None:
    """Queues those of them that our webhook is to bring, and that are neither settled in the journal nor remembered in
    Redis."""
    count.listed += len(found)
    with database.reading(tools.engine) as connection:
        types = registration.read(connection).event_types
    must = wanted_types(tools.table)
    found = [each for each in found if not types or ALL in types or each.get("event_type") in must.union(types)]
    ids = [str(each["event_id"]) for each in found]
    with database.reading(tools.engine) as connection:
        settled = journal.settled_among(connection, ids)
    lost = [each for each, event_id in zip(found, ids, strict=True) if event_id not in settled]
    if is_dry:
        count.brought += len(lost)
        return
    jobs = [_job(each, count) for each in lost]
    is_new = accept(tools.queues, jobs, dedupe=tools.settings.dedupe, counter=BACKFILLED)
    count.brought += sum(is_new)
    missed = [each for each, is_it in zip(lost, is_new, strict=True) if is_it and each.get("event_type") in must]
    count.missed += len(missed)
    count.oldest_missed_at = min(filter(None, [*map(_made_at, missed), count.oldest_missed_at]), default=None)


def present(tools: Tools) -> datetime:
    """Seam's present, by its own clock where its last answer said so: ours may be wrong."""
    skew = tools.seam.skew()
    return clock.now() - (skew if skew is not None and abs(skew) > timedelta(seconds=2) else timedelta())


def _start(tools: Tools, known: Mapping[str, Any], end: datetime) -> tuple[datetime, str]:
    """Where this run begins. The first one, and one each day, goes further back: nobody says how late Seam lists an
    event, nor by which of its times. Svix, too, tries for more than a day."""
    told = tools.settings
    if "until" not in known:
        return end - told.dedupe, clock.iso(end)
    until, looked_back_at = clock.parse(known["until"]), clock.parse(known["looked_back_at"])
    is_ahead = max(until, looked_back_at) - end > told.backfill_overlap  # by a clock that was wrong then
    if is_ahead or end - looked_back_at > _A_DAY:
        return min(until, end) - _A_DAY, clock.iso(end)
    return min(until, end) - told.backfill_overlap, known["looked_back_at"]


def _workspace(tools: Tools) -> str:
    """Of another workspace's events nothing is known. A key that may not ask is told apart by nothing."""
    try:
        return tools.seam.workspace_id()
    except Permanent as error:
        logs.get().warning("backfill.workspace_unknown", reason=str(error))
        return tools.settings.workspace_id or "unknown"


def _listed(tools: Tools, after: datetime, before: datetime, count: Count, offset: int = 0) -> list[Mapping[str, Any]]:
    count.calls += 1
    return tools.seam.events(after, before, offset=offset)


def _by_offset(
    tools: Tools, after: datetime, before: datetime, found: list[Mapping[str, Any]], count: Count
) -> list[Mapping[str, Any]]:
    """More than an answer holds, all of the same two milliseconds. An answer with nothing new ends it, full or not:
    Seam calls the offset unstable."""
    known, rest = {str(each["event_id"]): each for each in found}, found
    while len(rest) >= MOST_EVENTS:
        before_it = len(known)
        rest = _listed(tools, after, before, count, offset=before_it)
        known |= {str(each["event_id"]): each for each in rest}
        if len(known) == before_it:
            logs.get().warning("backfill.offset_ignored", after=clock.iso(after), before=clock.iso(before))
            break
    return list(known.values())


def _made_at(payload: Mapping[str, Any]) -> str | None:
    """When Seam made it; None when it does not say so."""
    try:
        return clock.iso(clock.parse(payload.get("created_at")))
    except ValueError:
        return None


def _job(payload: Mapping[str, Any], count: Count) -> tuple[str, Job]:
    """The name to remember and the job, as the receiver makes them of a delivery."""
    body, at = json.dumps(payload), clock.now()
    try:
        event = read_event(body)
    except UnreadableEvent as error:
        count.unreadable += 1
        name = quarantine_id(body.encode())
        return name, unreadable_job(name, body, reason=str(error), received_at=at, delivery="", source="backfill")
    return event.event_id, event_job(
        event.event_id, event.event_type, body, received_at=at, source="backfill", delivery=""
    )
