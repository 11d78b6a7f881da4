"""Issues: what is wrong with whom, and who takes care of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.api.answers import told
from console.api.cursors import cursor, place
from console.api.operations import Asked, Cursor, Instant, Limit, Moment, NextCursor, Text, read, write
from console.api.recorded import recorded
from console.web.state import console_of
from seamkeeper import clock, issues

router = APIRouter(tags=["issues"])

IssueId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Issue(BaseModel):
    """One thing that is wrong with a user, an access system (no `acs_user_id`) or the service (neither). `error` and
    `warning` are Seam's codes, `finding` is ours; `detail` holds the facts of a finding."""

    issue_id: int
    acs_user_id: str | None
    acs_system_id: str | None
    kind: Literal["error", "warning", "finding"]
    code: str
    message: str | None
    detail: Any
    state: Literal["open", "acknowledged", "snoozed", "cleared"]
    first_seen_at: Moment
    last_seen_at: Moment
    acknowledged_at: Moment | None
    acknowledged_by: str | None
    snoozed_until: Moment | None
    cleared_at: Moment | None


class IssuePage(BaseModel):
    """Newest first."""

    items: list[Issue]
    next_cursor: NextCursor


class IssueFilters(Asked):
    state: Annotated[
        Literal["open", "not_cleared", "cleared"],
        Field(description="`open`: nobody takes care of it; `not_cleared`: also what is acknowledged or snoozed."),
    ] = "not_cleared"
    code: Text | None = None
    system: Annotated[Text | None, Field(description="An acs_system_id.")] = None
    cursor: Cursor = None
    limit: Limit = 50


class Snooze(Asked):
    """Until when: one of the two."""

    until: Instant | None = None
    hours: Annotated[float | None, Field(gt=0, le=24 * 365)] = None

    @model_validator(mode="after")
    def _one(self) -> Snooze:
        if (self.until is None) == (self.hours is None):
            raise ValueError("give one of until and hours")
        if self.until is not None and self.until <= clock.now():
            raise ValueError("until is in the past")
        return self


@read(router, "/issues", IssuePage)
def list_issues(request: Request, asked: Annotated[IssueFilters, Query()]) -> Any:
    """What is wrong with whom."""
    (before,) = place(asked.cursor, int) or (None,)
    with console_of(request).reading() as connection:
        rows = issues.list_issues(
            connection, code=asked.code, acs_system_id=asked.system, is_cleared=asked.state == "cleared",
            needs_attention=asked.state == "open", before=before, limit=asked.limit + 1,
        )  # fmt: skip
    shown = rows[: asked.limit]
    items = [told(request, row) for row in shown]
    return {"items": items, "next_cursor": cursor(shown[-1]["issue_id"]) if len(rows) > len(shown) else None}


@read(router, "/issues/{issue_id}", Issue, misses=True)
def get_issue(request: Request, issue_id: IssueId) -> Any:
    """One issue, open or cleared."""
    with console_of(request).reading() as connection:
        found = issues.find_issue(connection, issue_id)
    if found is None:
        raise HTTPException(404, "There is no such issue.")
    return told(request, found)


@write(router, "POST", "/issues/{issue_id}/acknowledge", Issue, 404, 409)
def acknowledge_issue(request: Request, issue_id: IssueId) -> Any:
    """Say that somebody takes care of it. It stays until what is wrong has gone."""
    return _handle(request, issue_id, "issue.acknowledge", issues.acknowledge)


@write(router, "POST", "/issues/{issue_id}/snooze", Issue, 404, 409)
def snooze_issue(request: Request, issue_id: IssueId, asked: Snooze) -> Any:
    """Put it off: until then it is not among what is open."""
    until = asked.until or clock.now() + timedelta(hours=asked.hours or 0)

    def snooze(connection: Connection, issue_id: int, *, by: str) -> bool:
        return issues.snooze(connection, issue_id, until=_storable(until), by=by)

    return _handle(request, issue_id, "issue.snooze", snooze)


def _handle(request: Request, issue_id: int, action: str, act: Callable[..., bool]) -> Any:
    with (
        recorded(request, action, kind="issue", subject_id=str(issue_id)) as work,
        work.console.engine.begin() as connection,
    ):
        was_open = act(connection, issue_id, by=work.by)
        found = issues.find_issue(connection, issue_id)
        if found is None:
            raise HTTPException(404, "There is no such issue.")
        if not was_open:
            raise HTTPException(409, "This issue is cleared: what was wrong has gone.")
    return told(request, found)


def _storable(at: datetime) -> datetime:
    """The calendar ends; so does what a database can hold in another time zone."""
    return min(at, clock.now() + timedelta(days=366 * 100))
