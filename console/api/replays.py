"""Replays: handle much of the past again. The plan first; the workers take the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.api.answers import told
from console.api.cursors import cursor, place
from console.api.operations import AnId, Asked, Cursor, Instant, Limit, Moment, NextCursor, Text, read, write
from console.api.recorded import Write, recorded
from console.web.asking import queues_of
from console.web.state import console_of
from seamkeeper import replays
from seamkeeper.replays import Chosen, Plan, until_now
from seamkeeper.requeue import Requeue

router = APIRouter(tags=["replays"])

ReplayId = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Choice(Asked):
    """Ids of events, dead users and dead jobs; or what they have in common. With the status `dead` and no type also
    dead users and jobs."""

    ids: list[AnId] = Field(default_factory=list, max_length=1000)
    status: Literal["running", "retrying", "done", "ignored", "quarantined", "dead"] | None = None
    type: Annotated[Text | None, Field(description="Such as acs_user.created.")] = None
    user: Annotated[AnId | None, Field(description="An acs_user_id.")] = None
    cause: Annotated[Text | None, Field(description="As dead letters have it.")] = None
    since: Instant | None = None
    until: Instant | None = None
    kind: Annotated[Literal["event"] | None, Field(description="event: no dead users and jobs beside them.")] = None
    at_most: Annotated[int | None, Field(ge=1, le=10_000_000)] = None

    @model_validator(mode="after")
    def _one(self) -> Choice:
        filters = (self.status, self.type, self.user, self.cause, self.since, self.until)
        if bool(self.ids) == any(each is not None for each in filters):
            raise ValueError("give ids, or what they have in common")
        return self

    def chosen(self) -> Chosen:
        """As seamkeeper/replays.py takes it."""
        status = "dead" if self.cause and not self.status else self.status
        return until_now(
            Chosen(tuple(dict.fromkeys(self.ids)), status, self.type, self.user, self.since, self.until, self.cause,
                   self.at_most, kind=self.kind)
        )  # fmt: skip


class Start(Choice):
    """What, and how fast."""

    rate: Annotated[int, Field(ge=1, le=600_000, description="A minute, at most.")] = 600
    reason: Annotated[Text | None, Field(description="Kept with it.")] = None


class ReplayPlan(BaseModel):
    """What it would do: `api_calls` is one read for each user; at most one for each event. `not_eligible` says why."""

    matched: int
    eligible: int
    not_eligible: dict[str, int]
    api_calls: int
    api_calls_at_most: int


class Replay(BaseModel):
    """How far one is. It goes on without whoever started it."""

    replay_id: int
    state: Literal["running", "stopped", "done"]
    rate: int
    matched: int
    eligible: int
    done: int
    skipped: int
    chosen: Any
    asked_by: str
    reason: str | None
    asked_at: Moment
    moved_at: Moment
    ended_at: Moment | None


class ReplayPage(BaseModel):
    """Newest first."""

    items: list[Replay]
    next_cursor: NextCursor


class ReplayFilters(Asked):
    cursor: Cursor = None
    limit: Limit = 50


@read(router, "/replays", ReplayPage)
def list_replays(request: Request, asked: Annotated[ReplayFilters, Query()]) -> Any:
    """Those there were, and how far they came."""
    (before,) = place(asked.cursor, int) or (None,)
    with console_of(request).reading() as connection:
        rows = replays.list_replays(connection, before=before, limit=asked.limit + 1)
    shown = rows[: asked.limit]
    next_cursor = cursor(shown[-1]["replay_id"]) if len(rows) > len(shown) else None
    return {"items": [told(request, row) for row in shown], "next_cursor": next_cursor}


@write(router, "POST", "/replays/plan", ReplayPlan)
def plan_replay(request: Request, asked: Choice) -> Any:
    """Count what a replay would do. Nothing is changed."""
    console = console_of(request)
    with console.reading() as connection:
        found = replays.plan(connection, Requeue(queues_of(console)), asked.chosen())
    return {
        "matched": found.matched, "eligible": found.eligible, "not_eligible": dict(found.why_not),
        "api_calls": found.users, "api_calls_at_most": found.reads_at_most,
    }  # fmt: skip


@write(router, "POST", "/replays", Replay, 409, status=202)
def start_replay(request: Request, asked: Start) -> Any:
    """Start one. 409 when nothing of it can be replayed. This is the one operation that, repeated, does more."""
    with recorded(request, "replay.start", kind="replay") as work:
        return told(request, begin(work, asked.chosen(), rate=asked.rate, reason=asked.reason))


@read(router, "/replays/{replay_id}", Replay, misses=True)
def get_replay(request: Request, replay_id: ReplayId) -> Any:
    """How far one is."""
    with console_of(request).reading() as connection:
        found = replays.find(connection, replay_id)
    if found is None:
        raise HTTPException(404, "There is no such replay.")
    return told(request, found)


@write(router, "POST", "/replays/{replay_id}/stop", Replay, 404)
def stop_replay(request: Request, replay_id: ReplayId) -> Any:
    """It takes no further step; what it queued is done. May be repeated."""
    with recorded(request, "replay.stop", kind="replay", subject_id=str(replay_id)) as work:
        found = _moved(work, replay_id, replays.stop)
    return told(request, found)


@write(router, "POST", "/replays/{replay_id}/resume", Replay, 404, 409)
def resume_replay(request: Request, replay_id: ReplayId) -> Any:
    """It goes on where it was. May be repeated."""
    with recorded(request, "replay.resume", kind="replay", subject_id=str(replay_id)) as work:
        found = _moved(work, replay_id, replays.resume)
        if found["state"] != "running":
            raise HTTPException(409, "This replay is done.")
        work.queues.ask_replay(replay_id)
    return told(request, found)


def _moved(work: Write, replay_id: int, move: Callable[[Connection, int], object]) -> dict[str, Any]:
    with work.console.engine.begin() as connection:
        move(connection, replay_id)
        found = replays.find(connection, replay_id)
    if found is None:
        raise HTTPException(404, "There is no such replay.")
    return found


def begin(work: Write, chosen: Chosen, *, rate: int, reason: str | None) -> dict[str, Any]:
    """A replay that runs, as its row; 409 when nothing of it can be replayed."""
    with work.console.reading() as connection:
        found = replays.plan(connection, Requeue(work.queues), chosen)
    if not found.eligible:
        raise HTTPException(409, _why_not(found))
    with work.console.engine.begin() as connection:
        replay_id = replays.start(connection, chosen, found, rate=rate, by=work.by, reason=reason)
        row = replays.find(connection, replay_id)
    work.detail |= {"replay_id": replay_id, "eligible": found.eligible}
    work.queues.ask_replay(replay_id)
    return row or {}


def _why_not(found: Plan) -> str:
    if not found.matched:
        return "Nothing fits."
    return "Nothing of it can be replayed: " + ", ".join(f"{n:,} {why}" for why, n in found.why_not.items()) + "."
