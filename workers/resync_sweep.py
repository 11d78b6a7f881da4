"""Mark and sweep: who is in the mirror and not in the complete list?

Absence is not deletion: who is missing is asked for, one by one, and only a 404 buries. Many at once, or a list of
nobody, are a fault of the list until a person says otherwise: then nobody is even asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from seamkeeper import database, logs, mirror, missing, recreations
from seamkeeper.queues import RESYNC
from workers import notices
from workers.resync_page import SOURCE
from workers.resync_pass import Place, Turn
from workers.tools import Tools

NOBODY = "\x7f"  # behind every id: the sweep is over

_MOST_MISSING = 0.05  # of a system's users
_FEW = 10
_BATCH = 1000


def judge(tools: Tools, mine: Turn, place: Place) -> int | None:
    """How many are missing; None when they are so many that nothing is to be done, which is told."""
    number = held = 0
    for batch in _held(tools, mine, place, after=""):
        held += len(batch)
        number += len(mine.missing(batch))
    is_fault = number > max(_FEW, _MOST_MISSING * held) or _is_doubtful(tools, mine, place, held)
    if is_fault and not place.accepts_missing:
        _tell(tools, mine.acs_system_id, number, held)
        return None
    with tools.engine.begin() as connection:
        missing.clear(connection, mine.acs_system_id, "missing")
        if not recreations.many_wait(connection, mine.acs_system_id):
            missing.clear(connection, mine.acs_system_id, "gone")
    return number


def ask_for_missing(tools: Tools, mine: Turn, place: Place, *, ends_at: float) -> Place:
    """Asks for each of them, until the end or that of the time; `swept` says where it goes on."""
    if place.swept == NOBODY:
        return place
    for batch in _held(tools, mine, place, after=place.swept):
        place = _ask(tools, mine, replace(place, swept=batch[-1]), mine.missing(batch))
        if time.monotonic() > ends_at:
            return place
    return mine.keep(replace(place, swept=NOBODY))


def ask_for_begun(tools: Tools, mine: Turn, place: Place) -> Place:
    """Whose new user is under way: their later looks may have been lost with Redis."""
    with database.reading(tools.engine) as connection:
        begun = recreations.under_way(connection, mine.acs_system_id)
    return _ask(tools, mine, place, begun)


def _ask(tools: Tools, mine: Turn, place: Place, acs_user_ids: list[str]) -> Place:
    for acs_user_id in acs_user_ids:
        tools.queues.ask_reconcile(acs_user_id, why=place.why, source=SOURCE, queue=RESYNC)
    return mine.keep(replace(place, asked=place.asked + len(acs_user_ids)), asked=acs_user_ids)


def _held(tools: Tools, mine: Turn, place: Place, *, after: str) -> Iterator[list[str]]:
    """Those who must be in the list, unless they are gone: who was seen first behind its beginning may be too new."""
    while True:
        with database.reading(tools.engine) as connection:
            batch = mirror.page_of_system(
                connection, mine.acs_system_id, after=after, seen_before=place.began_at, limit=_BATCH
            )
        if batch:
            yield batch
        if len(batch) < _BATCH:
            return
        after = batch[-1]


def _is_doubtful(tools: Tools, mine: Turn, place: Place, held: int) -> bool:
    """Nobody is listed although several are held, and Seam does not count nobody, too."""
    if place.listed or held < 2:
        return False
    counts = {system["acs_system_id"]: system.get("acs_user_count") for system in tools.seam.systems()}
    return counts.get(mine.acs_system_id) != 0


def _tell(tools: Tools, acs_system_id: str, number: int, held: int) -> None:
    with tools.engine.begin() as connection:
        if missing.raise_it(connection, acs_system_id, "missing", number=number, held=held):
            notices.issue_raised(
                tools, kind="finding", code=missing.CODE, acs_system_id=acs_system_id, connection=connection
            )
    logs.get().error("resync.too_many_missing", acs_system_id=acs_system_id, missing=number, held=held)
