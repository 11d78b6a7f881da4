"""A backfill of a span that a person named: a slice of it, then the next, until it is done or stopped."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime

from seamkeeper import clock, database, logs, spans
from workers import backfill
from workers.tools import Tools

_COUNTS = tuple(each.name for each in fields(backfill.Count))


def go_on(tools: Tools, name: str) -> None:
    """From its place on, for half of a job's time. The span's own row is the progress that people see."""
    with database.reading(tools.engine) as connection:
        span = spans.find(connection, name)
    if span is None or span["state"] != "running":
        return
    count = backfill.Count(**{each: span[each] for each in _COUNTS if each in span})

    def keep(place: datetime, state: str = "running") -> None:
        with tools.engine.begin() as connection:
            now = spans.find(connection, name) or span
            state = now["state"] if state == "running" else state  # a person may have stopped it
            spans.keep(connection, name, now | asdict(count) | {"place": clock.iso(place), "state": state})

    end = clock.parse(span["until"])
    place = backfill.fetch(tools, clock.parse(span["place"]), end, count, safe_until=keep, is_dry=span["is_dry"])
    if place == end:
        keep(place, "done")
        logs.get().info("backfill.span_done", name=name, **asdict(count))
    else:
        spans.ask(tools.queues, name)


def gave_up(tools: Tools, name: str, reason: str) -> None:
    """Nothing comes of it any more; who waits for it is told why."""
    with tools.engine.begin() as connection:
        span = spans.find(connection, name)
        if span and span["state"] == "running":
            spans.keep(connection, name, span | {"state": "failed", "reason": reason})
