"""Dead letters: what will not be tried again without a person, by cause and one by one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, model_validator
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.api.answers import told
from console.api.cursors import cursor, place
from console.api.operations import AnId, Asked, Cursor, Limit, Moment, NextCursor, Text, read, write
from console.api.recorded import recorded
from console.web.state import console_of
from seamkeeper import dead

router = APIRouter(tags=["dead letters"])


class Cause(BaseModel):
    """All that failed alike, and whether a replay can help."""

    cause: str
    field: str | None
    number: int
    events: int
    users: int
    first_at: Moment
    last_at: Moment
    can_help: str


class Causes(BaseModel):
    """Most first; all of them."""

    items: list[Cause]


class Letter(BaseModel):
    """One event, user or job that is dead."""

    dead_id: int
    kind: Literal["event", "user", "job"]
    subject_id: Annotated[str, Field(description="Of the event, user or job.")]
    job: str
    event_type: str | None
    acs_user_id: str | None
    acs_system_id: str | None
    cause: str
    field: str | None
    reason: str | None
    seam_request_id: str | None
    tries: int
    first_at: Moment
    died_at: Moment


class LetterPage(BaseModel):
    """Newest first."""

    items: list[Letter]
    next_cursor: NextCursor


class LetterFilters(Asked):
    cause: Text | None = None
    cursor: Cursor = None
    limit: Limit = 50


class Discard(Asked):
    """Which, by ids or cause; how many you mean by that; and why."""

    ids: list[AnId] = Field(default_factory=list, max_length=1000)
    cause: Text | None = None
    number: Annotated[int, Field(ge=1, description="How many are meant; 409 when they are not as many.")]
    reason: Annotated[Text, Field(min_length=1, description="Kept with them.")]

    @model_validator(mode="after")
    def _one(self) -> Discard:
        if bool(self.ids) == bool(self.cause):
            raise ValueError("give ids or cause")
        return self


class Discarded(BaseModel):
    """How many were taken off the list."""

    discarded: int


@read(router, "/dead-letters", LetterPage)
def list_dead_letters(request: Request, asked: Annotated[LetterFilters, Query()]) -> Any:
    """One by one."""
    (before,) = place(asked.cursor, int) or (None,)
    with console_of(request).reading() as connection:
        rows = dead.list_open(connection, cause=asked.cause, before=before, limit=asked.limit + 1)
    shown = rows[: asked.limit]
    next_cursor = cursor(shown[-1]["dead_id"]) if len(rows) > len(shown) else None
    return {"items": [told(request, row) for row in shown], "next_cursor": next_cursor}


@read(router, "/dead-letters/causes", Causes)
def list_causes(request: Request) -> Any:
    """By cause."""
    with console_of(request).reading() as connection:
        return {"items": [told(request, row) for row in dead.groups(connection)]}


@write(router, "POST", "/dead-letters/discard", Discarded, 409, role="admin")
def discard_dead_letters(request: Request, asked: Discard) -> Any:
    """Take them off the list; the lines are kept, with who and why. A new event about a user is handled as ever."""
    with (
        recorded(request, "dead.discard", kind="cause" if asked.cause else None, subject_id=asked.cause) as work,
        work.console.engine.begin() as connection,
    ):
        there = dead.count_open(connection, cause=asked.cause, ids=asked.ids)
        if there != asked.number:
            raise HTTPException(409, f"They are {there:,}, not {asked.number:,}: nothing was discarded.")
        gone = dead.discard(connection, by=work.by, reason=asked.reason, cause=asked.cause, ids=asked.ids)
        work.detail["discarded"] = gone
    return {"discarded": gone}
