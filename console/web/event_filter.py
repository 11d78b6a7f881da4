"""Which events a page is asked for, read from its address; the same words lead to the list, the export, a replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.web import asked
from console.web.people import Person
from seamkeeper import clock
from seamkeeper.event_filters import Wanted

NAMES = ("search", "status", "type", "user", "system", "source", "tries", "time", "since", "until")
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
SOURCES = ("webhook", "backfill")
# For the field's suggestions: those that have a reaction of ours.
TYPES = (
    "acs_user.created", "acs_user.deleted", "acs_credential.issued", "acs_credential.reissued",
    "acs_credential.invalidated", "acs_credential.deleted", "acs_access_group.deleted", "acs_system.added",
    "acs_system.connected", "acs_system.disconnected", "connected_account.connected",
    "connected_account.disconnected", "connected_account.deleted",
)  # fmt: skip


def chosen(request: Request) -> dict[str, str]:
    """The filters that are set, as the address says them."""
    return asked.filters(request, *NAMES)


def wanted(chosen: Mapping[str, str], person: Person) -> Wanted:
    """The same for a query of this person. Raises 400 for times and numbers that cannot be read."""
    span = SPANS.get(chosen.get("time", ""))
    since = clock.now() - span if span else instant(chosen.get("since"))
    return Wanted(
        status=chosen.get("status"), event_type=chosen.get("type"), acs_user_id=chosen.get("user"),
        acs_system_id=chosen.get("system"), source=chosen.get("source"), search=chosen.get("search"), since=since,
        until=None if span else instant(chosen.get("until")), tries_at_least=number(chosen.get("tries")),
        is_whole=not person.sees_names,
    )  # fmt: skip


def keywords(found: Wanted) -> dict[str, Any]:
    """For `journal.list_events`."""
    return asdict(found)


def for_replay(chosen: Mapping[str, str]) -> dict[str, str]:
    """The filter in the address of the plan of a replay, where `user` names those who shall be read afresh. It is of
    events: what is listed is replayed, and no dead user beside it."""
    span = SPANS.get(chosen.get("time", ""))
    found = {name: value for name, value in chosen.items() if name not in ("user", "time")}
    found |= {"kind": "event"} | ({"about": chosen["user"]} if "user" in chosen else {})
    return found | ({"since": clock.iso(clock.now() - span)} if span else {})


def instant(text: str | None) -> datetime | None:
    """A time as a browser's field gives it (no zone: UTC), or as we write it. Raises 400."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise HTTPException(400, "A time in this address cannot be read; write 2026-11-22T08:30.") from None


def number(text: str | None) -> int | None:
    """How many tries. Raises 400."""
    if text is None:
        return None
    found = asked.whole(text)
    if found is None or found > 9999:
        raise HTTPException(400, "The number of tries in this address cannot be read.")
    return found
