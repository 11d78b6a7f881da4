"""Users: how each stands, and looking at them now."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.api.answers import told
from console.api.cursors import cursor, place
from console.api.issues import Issue
from console.api.operations import AnId, Asked, Cursor, Limit, Moment, NextCursor, Text, read, write
from console.api.recorded import recorded
from console.web.people import person_of
from console.web.state import console_of
from seamkeeper import issues, mirror, resyncs
from seamkeeper.queues import RESYNC_ALL

router = APIRouter(tags=["users"])

Sync = Annotated[
    Literal["in_sync", "drifted", "applying", "paused", "unknown"],
    Field(description="How Seam compares with what is desired; `unknown` of who is not managed."),
]
Health = Annotated[
    Literal["ok", "warning", "error", "deleted"], Field(description="The worst that Seam says of the user.")
]


class UserRow(BaseModel):
    """One user of the list, as last read at Seam. `codes` are those of the open issues."""

    acs_user_id: str
    acs_system_id: str | None
    display_name: str | None
    sync: Sync
    health: Health
    reason: str | None
    drift: Any
    codes: list[str]
    read_at: Moment


class UserPage(BaseModel):
    """By acs_user_id."""

    items: list[UserRow]
    next_cursor: NextCursor


class User(BaseModel):
    """One user: what is desired, what Seam said last (`observed`, its JSON as it came), and where they differ."""

    acs_user_id: str
    acs_system_id: str | None
    sync: Sync
    health: Health
    reason: str | None
    desired: dict[str, Any]
    observed: Any
    drift: Any
    issues: list[Issue]
    read_at: Moment | None
    deleted_at: Moment | None
    replaces: str | None
    replaced_by: str | None


class UserFilters(Asked):
    sync: Sync | None = None
    health: Health | None = None
    system: Annotated[Text | None, Field(description="An acs_system_id.")] = None
    code: Annotated[Text | None, Field(description="Of an open issue.")] = None
    managed: Annotated[bool | None, Field(description="false: who is there, and nothing is desired of.")] = None
    search: Annotated[
        Text | None,
        Field(description="How an id, a name, an e-mail address or a telephone number begins."),
    ] = None
    cursor: Cursor = None
    limit: Limit = 50


class Looking(BaseModel):
    """The job that will look at the user: a new one, or one that was waiting."""

    acs_user_id: str
    job_id: str


class SyncAll(Asked):
    """Whom to look at: users, whole access systems, or all."""

    users: list[AnId] = Field(default_factory=list, max_length=1000)
    systems: list[AnId] = Field(default_factory=list, max_length=100)
    everything: bool = False
    full: Annotated[bool, Field(description="With systems: also managed users who do not differ.")] = False


class LookingAt(BaseModel):
    """What was asked for; the workers do it."""

    users: int
    systems: int
    everything: bool


@read(router, "/users", UserPage)
def list_users(request: Request, asked: Annotated[UserFilters, Query()]) -> Any:
    """Users by id."""
    (after,) = place(asked.cursor, str) or ("",)
    with console_of(request).reading() as connection:
        rows = mirror.list_users(
            connection, sync=asked.sync, health=asked.health, acs_system_id=asked.system, search=asked.search,
            code=asked.code, managed=asked.managed, is_whole=not person_of(request).sees_names, after=after,
            limit=asked.limit + 1,
        )  # fmt: skip
        shown = rows[: asked.limit]
        codes = issues.open_codes(connection, [row["acs_user_id"] for row in shown])
    items = [told(request, row) | {"codes": codes.get(row["acs_user_id"], [])} for row in shown]
    return {"items": items, "next_cursor": cursor(shown[-1]["acs_user_id"]) if len(rows) > len(shown) else None}


@read(router, "/users/{acs_user_id:path}", User, misses=True)
def get_user(request: Request, acs_user_id: AnId) -> Any:
    """One user with everything that is known."""
    with console_of(request).reading() as connection:
        found = mirror.find_user(connection, acs_user_id)
    if found is None:
        raise HTTPException(404, "No user with this id was ever read, and nothing is desired of one.")
    return told(request, found)


@write(router, "POST", "/users/{acs_user_id:path}/sync", Looking, 404, status=202)
def sync_user(request: Request, acs_user_id: AnId) -> Any:
    """Read this user at Seam now, and repair what differs where policy allows. May be repeated."""
    with recorded(request, "user.sync", kind="user", subject_id=acs_user_id) as work:
        with work.console.reading() as connection:
            if mirror.find_user(connection, acs_user_id) is None:
                raise HTTPException(404, "No user with this id was ever read, and nothing is desired of one.")
        job_id = work.queues.ask_reconcile(acs_user_id, why=f"sync by {work.by}", source="operator")
    return {"acs_user_id": acs_user_id, "job_id": job_id}


@write(router, "POST", "/sync", LookingAt, status=202)
def sync_many(request: Request, asked: SyncAll) -> Any:
    """Read users, access systems or all at Seam now, and repair what differs where policy allows."""
    users, systems = dict.fromkeys(asked.users), dict.fromkeys(asked.systems)
    if not (users or systems or asked.everything):
        raise HTTPException(422, "Name users, systems or everything.")
    with recorded(request, "sync") as work:
        why = f"sync by {work.by}"
        work.detail |= {"users": len(users), "systems": list(systems), "everything": asked.everything}
        for acs_user_id in users:
            work.queues.ask_reconcile(acs_user_id, why=why, source="operator")
        for acs_system_id in systems:
            resyncs.ask(work.queues, acs_system_id, why=why, is_full=asked.full)
        if asked.everything:
            work.queues.ask_resync(RESYNC_ALL, "all", why=why)
    return {"users": len(users), "systems": len(systems), "everything": asked.everything}
