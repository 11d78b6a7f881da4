"""Removes what is too old, in bites, for half of a job's time at most; what is left then is the next run's, at once."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from seamkeeper import checkpoints, clock, logs
from seamkeeper.retention import KEPT, Kept, bite
from seamkeeper.schedules import Schedules

if TYPE_CHECKING:
    from workers.tools import Tools

NAME = "retention"
_SHORTEST_REST = 0.02  # seconds


def prune(tools: Tools, *, seconds: float | None = None) -> bool:
    """One run; True when nothing is left to do. It goes on where the last one was cut off."""
    seconds = tools.settings.job_timeout.total_seconds() / 2 if seconds is None else seconds
    until, gone = time.monotonic() + seconds, Counter[str]()
    with tools.engine.begin() as connection:
        cut = checkpoints.read(connection, NAME)
    first, place = _where(cut)
    is_over = True
    for kept in KEPT[first:]:
        place = _walk(tools, kept, place, until, gone)
        if place is not None:
            is_over = False
            break
    if not is_over or cut:
        with tools.engine.begin() as connection:
            checkpoints.write(connection, NAME, None if is_over else {"table": kept.name, "place": place})
    if not is_over:
        Schedules(tools.queues).hurry(NAME)
    if gone or not is_over:
        logs.get().info("retention.pruned", is_over=is_over, **gone)
    return is_over


def _walk(tools: Tools, kept: Kept, place: list[Any] | None, until: float, gone: Counter[str]) -> list[Any] | None:
    """Bite after bite, and after each a rest as long as it took: who waits to write comes first. Gives the place at
    which the time was up."""
    before = clock.now() - kept.lasts(tools.settings)
    while True:
        began = time.monotonic()
        with tools.engine.begin() as connection:
            took = bite(connection, kept, before=before, place=place)
        gone.update({name: number for name, number in took.gone.items() if number})
        place = took.place
        if place is None or time.monotonic() > until:
            return place
        time.sleep(max(_SHORTEST_REST, time.monotonic() - began))


def _where(cut: Any) -> tuple[int, list[Any] | None]:
    """The table and the place in it at which a run was cut off; the first one when this release knows no such table."""
    names = [kept.name for kept in KEPT]
    if not cut or cut["table"] not in names:
        return 0, None
    return names.index(cut["table"]), cut["place"]
