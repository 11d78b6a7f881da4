"""Events: what Seam told us, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.api.answers import payload, told
from console.api.cursors import cursor, place, wrong_cursor
from console.api.operations import AnId, Asked, Cursor, Instant, Limit, Moment, NextCursor, Text, read, write
from console.api.recorded import recorded
from console.api.replays import Replay, begin
from console.web.people import person_of
from console.web.state import console_of
from seamkeeper import clock, journal
from seamkeeper.replays import Chosen

router = APIRouter(tags=["events"])

Status = Literal["received", "queued", "running", "retrying", "done", "ignored", "quarantined", "dead"]


class EventRow(BaseModel):
    """One event of the list. `reason` says why it failed, or was left alone, in one sentence."""

    event_id: str
    event_type: str
    workspace_id: str | None
    acs_user_id: str | None
    acs_system_id: str | None
    connected_account_id: str | None
    status: Status
    source: Annotated[str, Field(description="webhook, backfill or replay.")]
    delivery_id: str | None
    reason: str | None
    cause: str | None
    tries: int
    occurred_at: Moment | None
    received_at: Moment
    settled_at: Moment | None


class EventPage(BaseModel):
    """Newest first."""

    items: list[EventRow]
    next_cursor: NextCursor


class Attempt(BaseModel):
    """One try of a job about the event."""

    job: str
    job_id: str
    outcome: str
    reason: str | None
    cause: str | None
    seam_request_id: str | None
    started_at: Moment
    ended_at: Moment | None
    next_at: Moment | None
    calls: Annotated[list[dict[str, Any]] | None, Field(description="What was asked of Seam; never a value.")]
    lines: Annotated[list[dict[str, Any]] | None, Field(description="What was logged meanwhile.")]


class Event(EventRow):
    """One event with its tries, and the payload as it was received."""

    attempts: list[Attempt]
    payload: Any


class EventFilters(Asked):
    status: Status | None = None
    type: Annotated[Text | None, Field(description="Such as acs_user.deleted.")] = None
    user: Annotated[Text | None, Field(description="An acs_user_id.")] = None
    system: Annotated[Text | None, Field(description="An acs_system_id.")] = None
    source: Annotated[Text | None, Field(description="webhook, backfill or replay.")] = None
    search: Annotated[
        Text | None, Field(description="An event id, a svix id (msg_…), an acs_user_id, or how a name begins.")
    ] = None
    since: Instant | None = None
    until: Instant | None = None
    tries_at_least: Annotated[int | None, Field(ge=1, le=1000)] = None
    cursor: Cursor = None
    limit: Limit = 50


@read(router, "/events", EventPage)
def list_events(request: Request, asked: Annotated[EventFilters, Query()]) -> Any:
    """Events by the time of their receipt."""
    with console_of(request).reading() as connection:
        rows = journal.list_events(
            connection, status=asked.status, event_type=asked.type, acs_user_id=asked.user, acs_system_id=asked.system,
            source=asked.source, search=asked.search, since=asked.since, until=asked.until,
            tries_at_least=asked.tries_at_least, is_whole=not person_of(request).sees_names,
            before=_before(asked.cursor), limit=asked.limit + 1,
        )  # fmt: skip
    shown = rows[: asked.limit]
    last = shown[-1] if len(rows) > len(shown) else None
    return {
        "items": [told(request, row) for row in shown],
        "next_cursor": cursor(last["received_at"], last["event_id"]) if last else None,
    }


@read(router, "/events/{event_id:path}", Event, misses=True)
def get_event(request: Request, event_id: AnId) -> Any:
    """One event. It can be read as soon as a worker has begun with it."""
    with console_of(request).reading() as connection:
        found = journal.find_event(connection, event_id)
    if found is None:
        raise HTTPException(404, "No such event is kept, or no worker has begun with it.")
    row = {name: value for name, value in found.items() if name not in ("body", "attempts")}
    attempts = [told(request, each) for each in found["attempts"]]
    return told(request, row) | {"attempts": attempts, "payload": payload(request, found["body"])}


@write(router, "POST", "/events/{event_id:path}/replay", Replay, 404, 409, status=202)
def replay_event(request: Request, event_id: AnId) -> Any:
    """Handle one event again, from the body as it was received. The user is read afresh, so this changes nothing that
    is right. 409 while it waits or runs."""
    with recorded(request, "event.replay", kind="event", subject_id=event_id) as work:
        with work.console.reading() as connection:
            if journal.find_event(connection, event_id) is None:
                raise HTTPException(404, "No such event is kept, or no worker has begun with it.")
        return told(request, begin(work, Chosen(ids=(event_id,)), rate=600, reason=None))


def _before(text: str | None) -> tuple[Any, str] | None:
    found = place(text, str, str)
    if found is None:
        return None
    try:
        return clock.parse(found[0]), found[1]
    except (ValueError, OverflowError):
        raise wrong_cursor() from None
