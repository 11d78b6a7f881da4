"""The desired state: what the customer's own application says each user shall be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field
from redis import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console import desired_input
from console.api.answers import AsciiJson, told
from console.api.cursors import cursor, place
from console.api.failing import invalid
from console.api.operations import AnId, Asked, Cursor, Limit, NextCursor, read, write
from console.api.recorded import Write, recorded
from console.cli.arguments import is_id
from console.desired_input import NotValid
from console.web.state import console_of
from seamkeeper import desired
from seamkeeper.queues import Queues

router = APIRouter(tags=["desired state"])

MOST = 1000  # users of one import

Reconcile = Annotated[
    Literal["asked", "not_needed", "later"],
    Field(description="Whether the user is looked at now; `later`: Redis is away, the next resync does it."),
]
_EXAMPLE: dict[str, Any] = {
    "full_name": "Jack Doe",
    "email_address": "jack@example.com",
    "phone_number": "+15555550101",
    "access_schedule": {"starts_at": "2026-12-01T10:00:00Z", "ends_at": "2099-12-01T10:00:00Z"},
}


def _shown(kind: Any, words: str) -> Any:
    """Of any kind when it comes in, so that all mistakes are told in one way (`desired_input`)."""
    return Field(default=None, json_schema_extra={**kind, "description": words})


class DesiredFields(BaseModel):
    """What you want of one user. A field that is not named is not managed: whatever it holds is left alone."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"additionalProperties": False, "minProperties": 1, "examples": [_EXAMPLE]}
    )

    full_name: Any = _shown({"type": "string"}, "Not empty.")
    email_address: Any = _shown({"type": "string"}, "An e-mail address.")
    phone_number: Any = _shown({"type": "string"}, "In E.164 form, such as +15555550101.")
    access_schedule: Any = _shown(
        {
            "type": ["object", "null"],
            "required": ["starts_at", "ends_at"],
            "additionalProperties": False,
            "properties": {
                "starts_at": {"type": "string", "format": "date-time"},
                "ends_at": {"type": "string", "format": "date-time"},
            },
        },
        "From when to when; null means: without a schedule.",
    )
    hid_acs_system_id: Any = _shown({"type": "string"}, "For HID only.")
    is_suspended: Any = _shown({"type": "boolean"}, "Whether the user may enter at all.")


class DesiredItem(DesiredFields):
    """One user of an import."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False, "minProperties": 2})

    acs_user_id: Any = Field(default=None, json_schema_extra={"type": "string"})


class Import(Asked):
    """Up to 1,000 users; each is put as by PUT."""

    users: Annotated[list[DesiredItem], Field(min_length=1, max_length=MOST)]


class Desired(BaseModel):
    """What is desired of one user: exactly the managed fields."""

    acs_user_id: str
    desired: dict[str, Any] = Field(examples=[_EXAMPLE])


class Put(Desired):
    """What is desired now. `changed` is false when it was so before: then nothing was written or asked."""

    changed: bool
    reconcile: Reconcile


class Removed(BaseModel):
    """Not managed any more; `changed` is false when it was not managed before."""

    acs_user_id: str
    changed: bool
    reconcile: Reconcile


class DesiredPage(BaseModel):
    """By acs_user_id."""

    items: list[Desired]
    next_cursor: NextCursor


class ImportLine(BaseModel):
    """What became of one user, in the order of the request. `fields`: why it was refused."""

    acs_user_id: str | None
    outcome: Literal["changed", "unchanged", "refused"]
    fields: dict[str, list[str]] | None = None


class Imported(BaseModel):
    """The good ones are kept, the others named."""

    changed: int
    unchanged: int
    refused: int
    reconcile: Reconcile
    items: list[ImportLine]


class DesiredFilters(Asked):
    cursor: Cursor = None
    limit: Limit = 50


@read(router, "/desired", DesiredPage)
def list_desired(request: Request, asked: Annotated[DesiredFilters, Query()]) -> Any:
    """Everybody of whom something is desired."""
    (after,) = place(asked.cursor, str) or ("",)
    with console_of(request).reading() as connection:
        rows = desired.list_desired(connection, after=after, limit=asked.limit + 1)
    items = [told(request, {"acs_user_id": name, "desired": wanted}) for name, wanted in rows[: asked.limit]]
    return {"items": items, "next_cursor": cursor(rows[asked.limit - 1][0]) if len(rows) > asked.limit else None}


@write(router, "POST", "/desired/import", Imported, also={207: Imported})
def import_desired(request: Request, asked: Import) -> Any:
    """Put the desired state of many users. 200 when all were taken, 207 when some were refused; may be repeated."""
    good, lines = _sorted_out(asked.users)
    with recorded(request, "desired.import") as work:
        with work.console.engine.begin() as connection:
            changed = desired.replace_many(connection, good, by=work.by)
        is_new = set(changed)
        for line in lines:
            if line["outcome"] != "refused":
                line["outcome"] = "changed" if line["acs_user_id"] in is_new else "unchanged"
        counts = {name: sum(line["outcome"] == name for line in lines) for name in ("changed", "unchanged", "refused")}
        work.detail |= counts
        answer = {**counts, "reconcile": _ask(work, changed), "items": lines}
    return AsciiJson(answer, 207) if counts["refused"] else answer


@read(router, "/desired/{acs_user_id:path}", Desired, misses=True)
def get_desired(request: Request, acs_user_id: AnId) -> Any:
    """What is desired of one user. 404 when the user is not managed."""
    with console_of(request).reading() as connection:
        wanted = desired.desired_of(connection, acs_user_id)
    if not wanted:
        raise HTTPException(404, "Nothing is desired of this user.")
    return told(request, {"acs_user_id": acs_user_id, "desired": wanted})


@write(router, "PUT", "/desired/{acs_user_id:path}", Put)
def put_desired(request: Request, acs_user_id: AnId, asked: Annotated[DesiredFields, Body(examples=[_EXAMPLE])]) -> Any:
    """Make this the whole desired state of a user; other fields are not managed any more.

    The user need not be known yet. May be repeated: the same state again changes nothing and asks for nothing. Who was
    changed is read at Seam, and repaired where policy allows, at once.
    """
    try:
        values = desired_input.checked(asked.model_dump(exclude_unset=True))
    except NotValid as mistake:
        return invalid(mistake.fields)
    with recorded(request, "desired.put", kind="user", subject_id=acs_user_id) as work:
        with work.console.engine.begin() as connection:
            is_changed = desired.replace_desired(connection, acs_user_id, values, by=work.by)
        work.detail |= {"changed": is_changed, "fields": sorted(values)}
        reconcile = _ask(work, [acs_user_id] if is_changed else [])
    return told(request, {"acs_user_id": acs_user_id, "desired": values}) | {
        "changed": is_changed, "reconcile": reconcile
    }  # fmt: skip


@write(router, "DELETE", "/desired/{acs_user_id:path}", Removed)
def delete_desired(request: Request, acs_user_id: AnId) -> Any:
    """Stop managing a user. Nothing is changed at Seam; may be repeated."""
    with recorded(request, "desired.delete", kind="user", subject_id=acs_user_id) as work:
        with work.console.engine.begin() as connection:
            was_there = desired.forget_desired(connection, acs_user_id)
        work.detail["changed"] = was_there
        reconcile = _ask(work, [acs_user_id] if was_there else [])
    return {"acs_user_id": acs_user_id, "changed": was_there, "reconcile": reconcile}


def _sorted_out(items: Sequence[DesiredItem]) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """acs_user_id -> values of those that can be kept; and a line for each."""
    good: dict[str, dict[str, Any]] = {}
    lines = []
    for item in items:
        values = item.model_dump(exclude_unset=True)
        acs_user_id = values.pop("acs_user_id", None)
        wrong = _mistakes(acs_user_id, values, good)
        line = {"acs_user_id": acs_user_id if is_id(acs_user_id) else None, "outcome": "taken", "fields": None}
        lines.append(line | ({"outcome": "refused", "fields": wrong} if wrong else {}))
    return good, lines


def _mistakes(acs_user_id: Any, values: Mapping[str, Any], good: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """What is wrong with one; puts it to the good ones when nothing is."""
    if not is_id(acs_user_id):
        return {"acs_user_id": ["is missing, or no id (1 to 200 printable characters, no spaces)"]}
    if acs_user_id in good:
        return {"acs_user_id": ["is in this request twice; the first one counts"]}
    try:
        good[acs_user_id] = desired_input.checked(values)
    except NotValid as mistake:
        return {name or "body": said for name, said in mistake.fields.items()}
    return {}


def _ask(work: Write, acs_user_ids: Sequence[str]) -> str:
    """What was kept counts, whether Redis answers or not: a resync compares everybody whose desired state is newer."""
    if not acs_user_ids:
        return "not_needed"
    try:
        ask(work.queues, acs_user_ids, why=f"desired state set by {work.by}")
    except (RedisError, OSError):
        work.detail["reconcile"] = "later"
        return "later"
    return "asked"


def ask(queues: Queues, acs_user_ids: Sequence[str], *, why: str) -> list[str]:
    """The jobs that look at these users, new or waiting already."""
    return [queues.ask_reconcile(acs_user_id, why=why, source="operator") for acs_user_id in acs_user_ids]
