"""What a request asks for: filters and the place in a list, read from its address."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from seamkeeper import clock

PAGE = 50
_NO_PLACE = "This address names a place in the list that cannot be read."


def filters(request: Request, *names: str) -> dict[str, str]:
    """The filters of a list that are set; an empty field of a form is no filter."""
    asked = {name: readable(request.query_params.get(name, "").strip()) for name in names}
    return {name: value for name, value in asked.items() if value}


def name_in_path(request: Request, name: str) -> str:
    """The id a page is about."""
    return readable(str(request.path_params[name]))


def readable(text: str) -> str:
    """Text that a database can compare: PostgreSQL refuses NUL, and we keep it as U+FFFD (`columns.Words`)."""
    return text.replace("\x00", "\ufffd")


def place(request: Request) -> tuple[datetime, str] | None:
    """The last event of the page before, as `before=2026-11-22T08:30:00.000000Z~<event_id>`."""
    text = readable(request.query_params.get("before", ""))
    if not text:
        return None
    at, _, event_id = text.partition("~")
    try:
        return clock.parse(at), event_id
    except (ValueError, OverflowError):
        raise HTTPException(400, _NO_PLACE) from None


def place_after(event: dict[str, Any]) -> str:
    """That place, for the link to the next page."""
    return f"{event['received_at']}~{event['event_id']}"


def rank(request: Request) -> int:
    """The first job of a page of a registry, counted from 0."""
    found = whole(request.query_params.get("from", "0"))
    if found is None:
        raise HTTPException(400, _NO_PLACE)
    return found


def row(request: Request) -> int | None:
    """The number of the last row of the page before, as `before=17`."""
    text = request.query_params.get("before", "")
    found = whole(text) if text else None
    if text and found is None:
        raise HTTPException(400, _NO_PLACE)
    return found


def whole(text: str) -> int | None:
    """A whole number that every database can compare; None for any other text, however long."""
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
    return found if found is not None and found < 2**31 else None
