"""Resync: look through a whole access system and ask for a reconcile of every user who is not as we hold them.

A pass goes page by page through Seam's list, then through our own users who are there, for those the list lacks. It is
done in slices: a job works for half of its time and asks for the next. docs/resync.md tells the whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rq import get_current_job

from seamkeeper import clock, database, logs, resyncs
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.queues import RESYNC, RESYNC_SYSTEM
from workers import resync_sweep
from workers.concurrent.deadline import remaining
from workers.key_refused import watched
from workers.resync_page import SOURCE, look_through
from workers.resync_pass import LISTING, MISSING, Place, Turn, turn
from workers.seam_api import BadCursor, NotFound, UserPage
from workers.tools import Tools

_OLD = timedelta(hours=1)  # a list of then and one of now are two lists


def resync_system(tools: Tools, acs_system_id: str, *, why: str, goes_on: bool = False) -> None:
    """One slice of a pass: a new one, or the one under way. Raises `Postponed` while another job is at it, and as
    Seam's API does; the pass then waits where it is."""
    with turn(tools.queues, acs_system_id) as mine, watched(tools):
        place = _place(tools, mine, why=why, goes_on=goes_on)
        if place is None:
            return
        ends_at = time.monotonic() + remaining(tools.settings.job_timeout.total_seconds()) / 2
        try:
            is_over = _go_on(tools, mine, place, ends_at=ends_at)
        except BadCursor as error:
            if place.is_renewed:
                mine.end()  # the next try begins anew
                raise
            _begin(tools, mine, replace(place, is_renewed=True))
            logs.get().warning("resync.begins_anew", acs_system_id=acs_system_id, reason=str(error))
            is_over = False
        except Temporary as error:
            with tools.engine.begin() as connection:
                resyncs.change(connection, acs_system_id, trouble=str(error))
            raise
        except Permanent as error:
            _end(tools, mine, place, outcome="failed", trouble=str(error))
            raise
        if not is_over:
            tools.queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why=why, goes_on=True)


def resync_account(tools: Tools, connected_account_id: str, *, why: str) -> list[str]:
    """Asks for a resync of each access system of a connected account; gives their ids."""
    with watched(tools):
        return _ask_for_each(tools, tools.seam.systems(connected_account_id=connected_account_id), why)


def resync_all(tools: Tools, *, why: str) -> list[str]:
    """Asks for a resync of each access system that Seam shows us; gives their ids."""
    with watched(tools):
        return _ask_for_each(tools, tools.seam.systems(), why)


def _ask_for_each(tools: Tools, found: list[Mapping[str, Any]], why: str) -> list[str]:
    names = [str(system["acs_system_id"]) for system in found]
    for acs_system_id in names:
        resyncs.ask(tools.queues, acs_system_id, why=why)
    return names


def _place(tools: Tools, mine: Turn, *, why: str, goes_on: bool) -> Place | None:
    """Where this slice begins; None when what it should go on with is over."""
    job, place = get_current_job(), mine.read()
    job_id = job.id if job else ""
    with database.reading(tools.engine) as connection:
        rhythm = resyncs.rhythm_of(connection, mine.acs_system_id)
    if place is None and goes_on and not rhythm.is_under_way:
        return None
    is_fresh = not goes_on and (place is None or place.job_id != job_id)
    is_old = place is not None and clock.now() - place.began_at > _OLD
    if place is None or (is_fresh and is_old):
        is_full = place is not None and place.is_full  # the old one was to be, and never came to its end
        fresh = mine.with_wishes(Place(rhythm.number + 1, clock.iso(clock.now()), why, job_id, is_full=is_full))
        fresh = _begin(tools, mine, fresh)
        mine.take_wishes(fresh)
        return fresh
    if is_fresh:  # what was listed by now may be older than what this one was asked for
        place = mine.keep(replace(place, is_asked_again=True))
    is_good = mine.is_whole(place) and (place.is_renewed or not is_old)
    return place if is_good else _begin(tools, mine, replace(place, is_renewed=True))


def _begin(tools: Tools, mine: Turn, place: Place) -> Place:
    """From the first page."""
    kept = ("number", "why", "job_id", "is_full", "accepts_missing", "is_renewed", "is_asked_again")
    fresh = Place(began=clock.iso(clock.now()), **{name: getattr(place, name) for name in kept})
    with tools.engine.begin() as connection:
        resyncs.change(
            connection, mine.acs_system_id, number=fresh.number, why=fresh.why,
            began_at=fresh.began_at, ended_at=None, outcome=None, trouble=None,
        )  # fmt: skip
    return mine.begin(fresh)


def _go_on(tools: Tools, mine: Turn, place: Place, *, ends_at: float) -> bool:
    """Until the pass is over (True), or the time is."""
    if place.phase == LISTING:
        for page, read_at in _pages(tools, mine.acs_system_id, place.cursor, ends_at=ends_at):
            place = _keep_page(tools, mine, place, page, read_at)
        if place.cursor:
            return False
        missing = resync_sweep.judge(tools, mine, place)
        if missing is None:
            _end(tools, mine, place, outcome="too_many_missing")
            return True
        place = mine.keep(replace(place, phase=MISSING, swept="" if missing else resync_sweep.NOBODY))
    place = resync_sweep.ask_for_missing(tools, mine, place, ends_at=ends_at)
    if place.swept != resync_sweep.NOBODY:
        return False
    place = resync_sweep.ask_for_begun(tools, mine, place)
    _end(tools, mine, place, outcome="ok")
    return True


def _pages(tools: Tools, acs_system_id: str, cursor: str, *, ends_at: float) -> Iterator[tuple[UserPage, datetime]]:
    """The pages from a cursor on, until the last one or the end of the time, each with the time before its request.
    While one is looked through, the next is on its way."""
    with ThreadPoolExecutor(1, thread_name_prefix="page") as ahead:
        page, read_at = _read(tools, acs_system_id, cursor)
        while page.cursor and time.monotonic() < ends_at:
            following = ahead.submit(copy_context().run, _read, tools, acs_system_id, page.cursor)
            yield page, read_at
            page, read_at = following.result()
        yield page, read_at


def _read(tools: Tools, acs_system_id: str, cursor: str) -> tuple[UserPage, datetime]:
    """An access system that Seam does not know (any more) has nobody; the guards say what that means."""
    read_at = clock.now()
    try:
        return tools.seam.user_page(acs_system_id, cursor or None), read_at
    except NotFound:
        return UserPage([], None), read_at


def _keep_page(tools: Tools, mine: Turn, place: Place, page: UserPage, read_at: datetime) -> Place:
    """What the page says is done before the place moves over it: who dies in between does it twice."""
    found = look_through(tools, mine.acs_system_id, page.users, read_at=read_at, is_full=place.is_full)
    for acs_user_id in found.to_ask:
        tools.queues.ask_reconcile(acs_user_id, why=place.why, source=SOURCE, queue=RESYNC)
    moved = replace(
        place, cursor=page.cursor or "", pages=place.pages + 1, listed=place.listed + len(found.met),
        written=place.written + found.written, asked=place.asked + len(found.to_ask),
    )  # fmt: skip
    kept = mine.keep(moved, met=found.met, asked=found.to_ask)
    if page.cursor and found.met and kept.met == place.met:
        raise BadCursor(f"GET /acs/users/list {mine.acs_system_id}: the same page came twice")
    return kept


def _end(tools: Tools, mine: Turn, place: Place, *, outcome: str, trouble: str | None = None) -> None:
    at, every = clock.now(), tools.settings.resync_every
    counts = {name: getattr(place, name) for name in ("pages", "listed", "written", "asked")}
    full = {"full_at": place.began_at} if place.is_full and outcome == "ok" else {}
    with tools.engine.begin() as connection:
        resyncs.change(
            connection, mine.acs_system_id, ended_at=at, next_at=resyncs.next_after(at, every), outcome=outcome,
            trouble=trouble, **counts, **full,
        )  # fmt: skip
    mine.end()
    logs.get().info("resync.done", acs_system_id=mine.acs_system_id, outcome=outcome, **counts)
    if place.is_asked_again:
        tools.queues.ask_resync(RESYNC_SYSTEM, mine.acs_system_id, why=f"asked for during a resync: {place.why}")
