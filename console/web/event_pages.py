"""Events: the list with its filters, what was rejected at the door, and the export."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from console.web import asked, event_filter, masking
from console.web.people import person_of
from console.web.rendering import page
from console.web.state import Console, Part, console_of, part
from seamkeeper import attempts, clock, journal, mirror
from seamkeeper.event_filters import Place, Wanted
from seamkeeper.keys import Keys

STATUSES = ("running", "retrying", "dead", "done", "ignored", "quarantined")
COUNTED = ("", "retrying", "dead", "ignored", "quarantined")  # "" is any; of the others nobody asks how many
MOST_COUNTED = 1000
MOST_EXPORTED = 10_000
_PIECE = 500  # events that an export reads at once


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of events, the names of their users, when the next tries are due, and where the next page begins."""

    events: list[dict[str, Any]]
    names: dict[str, str]
    due: dict[str, str]
    next_place: str | None


def events(request: Request) -> Response:
    """GET /events"""
    chosen, before = event_filter.chosen(request), asked.place(request)
    wanted, console = event_filter.wanted(chosen, person_of(request)), console_of(request)
    listed = part(lambda: _listed(console, wanted, before))
    counts = part(lambda: _counts(console, wanted, _known(listed, before)))
    return page(
        request,
        "events.html",
        listed=listed,
        counts=counts,
        chosen=chosen,
        replay_query=event_filter.for_replay(chosen),
        statuses=STATUSES,
        spans=event_filter.SPANS,
        sources=event_filter.SOURCES,
        types=event_filter.TYPES,
        most=MOST_COUNTED,
        most_exported=MOST_EXPORTED,
        tries_at_most=len(console.settings.retry_delays) + 1,
        kept_days=console.settings.keep_events.days,
        is_later_page=before is not None,
        can_be_live=before is None,
    )


def rejected(request: Request) -> Response:
    """GET /events/rejected: what the door refused; no bodies are kept of these."""
    return page(request, "rejected.html", lines=part(lambda: _rejected(console_of(request))))


def export(request: Request) -> Response:
    """GET /events/export: what fits the filter, or these ids, as one JSON object a line, the newest first."""
    wanted = event_filter.wanted(event_filter.chosen(request), person_of(request))
    ids, is_masked = request.query_params.getlist("id"), not person_of(request).sees_names
    lines = _lines(console_of(request), wanted, [asked.readable(each) for each in ids][:MOST_EXPORTED], is_masked)
    headers = {"content-disposition": 'attachment; filename="events.ndjson"'}
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)


def _listed(console: Console, wanted: Wanted, before: Place | None) -> Listed:
    with console.reading() as connection:
        # one more than is shown tells whether there is a next page
        asked_for = event_filter.keywords(wanted)
        rows = journal.list_events(connection, **asked_for, before=before, limit=asked.PAGE + 1)
        shown = rows[: asked.PAGE]
        names = mirror.display_names(connection, [row["acs_user_id"] for row in shown if row["acs_user_id"]])
        due = attempts.next_of(connection, [row["event_id"] for row in shown if row["status"] == "retrying"])
    return Listed(shown, names, due, asked.place_after(shown[-1]) if len(rows) > asked.PAGE else None)


def _known(listed: Part[Listed], before: Place | None) -> int | None:
    """How many fit, when one page holds them all."""
    is_all = before is None and listed.value is not None and listed.value.next_place is None
    return len(listed.value.events) if is_all and listed.value is not None else None


def _counts(console: Console, wanted: Wanted, known: int | None) -> dict[str, int]:
    """Status -> how many there are of what else is wanted, "" for any; counting ends early. With a search, or two other
    filters, only of the chosen status: each count may have to walk over very many that do not fit."""
    others, chosen = event_filter.keywords(wanted), wanted.status or ""
    is_narrow = sum(value is not None for name, value in others.items() if name not in ("status", "is_whole")) > 1
    is_narrow = is_narrow or wanted.search is not None
    statuses = [status for status in (() if is_narrow else COUNTED) if status != chosen]
    with console.reading() as connection:
        found = {chosen: known} if known is not None else {}
        return found | {
            status: journal.count_events(
                connection, Wanted(**others | {"status": status or None}), at_most=MOST_COUNTED + 1
            )
            for status in (statuses if known is not None else [*statuses, chosen])
        }


def _rejected(console: Console) -> list[dict[str, Any]]:
    lines = console.redis.lrange(Keys(console.settings.redis_key_prefix).rejected(), 0, -1)
    return [json.loads(line) for line in lines]


def _lines(console: Console, wanted: Wanted, ids: list[str], is_masked: bool) -> Iterator[str]:
    try:
        for rows in _found(console, wanted, ids):
            for row in rows:
                yield json.dumps(_masked(row) if is_masked else row, ensure_ascii=True) + "\n"
    except SQLAlchemyError:
        yield json.dumps({"error": "The database did not answer; this is not all."}) + "\n"


def _found(console: Console, wanted: Wanted, ids: list[str]) -> Iterator[list[dict[str, Any]]]:
    """A connection for each piece: whoever downloads may be slow."""
    if ids:
        for start in range(0, len(ids), _PIECE):
            with console.reading() as connection:
                yield [found for each in ids[start : start + _PIECE] if (found := journal.find_event(connection, each))]
        return
    before, number = None, 0
    while number < MOST_EXPORTED:
        with console.reading() as connection:
            rows = journal.list_events(connection, **event_filter.keywords(wanted), before=before, limit=_PIECE)
            bodies = {each["event_id"]: each["body"] for each in journal.bodies(connection, _ids(rows))}
        yield [{**row, "body": bodies.get(row["event_id"])} for row in rows]
        if len(rows) < _PIECE:
            return
        number, before = number + len(rows), _place(rows[-1])


def _ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["event_id"] for row in rows]


def _place(row: Mapping[str, Any]) -> tuple[datetime, str]:
    return clock.parse(row["received_at"]), str(row["event_id"])


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    """As a viewer sees it: the body as what it says, without who."""
    found = row | {"body": masking.masked_json(row["body"]) if row.get("body") else None}
    found["reason"] = masking.masked_text(row["reason"]) if row["reason"] else None
    for each in found.get("attempts", []):
        each["reason"] = masking.masked_text(each["reason"]) if each["reason"] else None
    return found


routes = [
    Route("/events", events, methods=["GET"]),
    Route("/events/rejected", rejected, methods=["GET"]),
    Route("/events/export", export, methods=["GET"]),
]
