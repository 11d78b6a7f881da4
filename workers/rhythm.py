"""Whose resync is due? Each access system has its own rhythm; one call says which there are, with how many users.

A number of users that has changed makes the next resync come sooner; it is never a reason to leave one out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from seamkeeper import clock, database, logs, mirror, resyncs, systems
from seamkeeper.queues import RESYNC_SYSTEM
from seamkeeper.resyncs import Rhythm
from workers.key_refused import watched
from workers.tools import Tools

_BY_THE_CLOCK = "resync by the clock"
_LONGEST_NAME = 200


def look_at_systems(tools: Tools) -> int:
    """Asks for the resyncs that are due and gives their number. Systems that we hold users of and that Seam does not
    list any more are looked at, too."""
    with watched(tools):
        listed = {str(each["acs_system_id"]): each for each in tools.seam.systems()}
    with database.reading(tools.engine) as connection:
        forgotten: dict[str, Mapping[str, Any]] = {name: {} for name in mirror.systems_with_users(connection)}
    found = [_look(tools, acs_system_id, each) for acs_system_id, each in (forgotten | listed).items()]
    return sum(found)


def latest_night(at: datetime, hour: int) -> datetime:
    """The last time that it was this hour, in UTC."""
    tonight = at.replace(hour=hour, minute=0, second=0, microsecond=0)
    return tonight if tonight <= at else tonight - timedelta(days=1)


def _look(tools: Tools, acs_system_id: str, said: Mapping[str, Any]) -> bool:
    """True when a resync was asked for. `said`: Seam's answer about the access system, empty when it lists none."""
    count, at = said.get("acs_user_count"), clock.now()
    count = count if isinstance(count, int) else None
    with database.reading(tools.engine) as connection:
        rhythm = resyncs.rhythm_of(connection, acs_system_id)
        why = _why_now(tools, connection, rhythm, count, at)
        is_connected = systems.is_connected(connection, acs_system_id)
    if why and (not is_connected or tools.circuits.is_open(acs_system_id)):
        return False  # whoever brings it back asks for a resync; it stays due, too
    is_full = bool(why) and _is_due_in_full(tools, rhythm, at)
    values: dict[str, Any] = {"acs_user_count": count} if count != rhythm.acs_user_count else {}
    values |= {name: word for name, word in _called(said).items() if word != getattr(rhythm, name)}
    if why:
        if why == _BY_THE_CLOCK and rhythm.is_under_way:  # a new one behind it would make a slow pass one without end
            tools.queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why=why, goes_on=True)
        else:
            resyncs.ask(tools.queues, acs_system_id, why=why, is_full=is_full)
        values |= {"next_at": resyncs.next_after(at, tools.settings.resync_every)}
        values |= {"full_at": at} if is_full else {}
        logs.get().info("resync.due", acs_system_id=acs_system_id, why=why)
    if values:
        with tools.engine.begin() as connection:
            resyncs.change(connection, acs_system_id, **values)
    return bool(why)


def _called(said: Mapping[str, Any]) -> dict[str, str]:
    """What people call the access system, and what it is; what Seam does not say stays as it was."""
    words = {"name": said.get("name"), "brand": said.get("external_type_display_name")}
    return {name: word[:_LONGEST_NAME] for name, word in words.items() if isinstance(word, str) and word}


def _is_due_in_full(tools: Tools, rhythm: Rhythm, at: datetime) -> bool:
    """Also when the last one lies in the future: the clock was set back since."""
    return rhythm.full_at is None or not latest_night(at, tools.settings.nightly_hour) <= rhythm.full_at <= at


def _why_now(tools: Tools, connection: Connection, rhythm: Rhythm, count: int | None, at: datetime) -> str | None:
    """In words; None when it is not due."""
    if _is_due_in_full(tools, rhythm, at):
        return "resync of the night, in full"
    if rhythm.next_at is None or rhythm.next_at <= at:
        return _BY_THE_CLOCK
    if rhythm.next_at - at > 2 * tools.settings.resync_every:
        return "resync by the clock, which was set back"
    if count is None or count == rhythm.acs_user_count:
        return None
    held = mirror.count_of_system(connection, rhythm.acs_system_id)
    return None if count == held else f"Seam counts {count} users, we hold {held}"
