"""One user: how they stand, what is desired, live and was known before, what is wrong, and what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.web import asked, comparing, words
from console.web.asking import queues_of
from console.web.comparing import Plan, Row
from console.web.meanings import MEANINGS, likely_cause
from console.web.rendering import page
from console.web.state import Console, Part, console_of, part
from seamkeeper import attempts, audit, clock, desired, history, mirror, recreations, resyncs
from seamkeeper.orders import fingerprint, ordered
from seamkeeper.policies import Policy, policy_of
from seamkeeper.resyncs import Rhythm
from seamkeeper.users import MANAGED_FIELDS, observed_value, pending

PAUSES = (1, 4, 24, 72, 168)  # hours that are offered


@dataclass(frozen=True, slots=True)
class Stamps:
    """What a form that writes was made from, so that it is refused when that moved meanwhile: of the drift, of what is
    live, of what is desired."""

    drift: str
    live: str
    desired: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about one user."""

    user: Mapping[str, Any]
    name: str
    system: Rhythm | None
    brand: str | None
    policy: Policy
    rows: list[Row]
    plan: Plan
    desired_at: datetime | None
    desired_by: str | None
    accepted: Mapping[str, Any] | None
    waiting_for: list[str]
    causes: Mapping[str, str]
    recreation: recreations.Recreation | None
    history: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    audit: list[dict[str, Any]]
    stamps: Stamps

    @property
    def is_gone(self) -> bool:
        """A tombstone, or deleted at the provider: nothing can be written about this user any more."""
        return self.user["deleted_at"] is not None


def user(request: Request) -> Response:
    """GET /users/{acs_user_id}"""
    return user_response(request, asked.name_in_path(request, "acs_user_id"))


def user_response(request: Request, acs_user_id: str, *, is_revealed: bool = False) -> Response:
    """The page; `is_revealed`: as an operator sees it."""
    console = console_of(request)
    shown = part(lambda: read(console, acs_user_id))
    if shown.problem is None and shown.value is None:
        raise HTTPException(404, "No user with this id was ever read, and nothing is desired of one.")
    waiting = part(lambda: _is_looked_at(console, shown.value))
    request.state.is_revealed = is_revealed
    return page(
        request,
        "user.html",
        acs_user_id=acs_user_id,
        path=f"/users/{words.segment(acs_user_id)}",
        shown=shown,
        waiting=waiting if shown.problem is None else Part(False),
        meanings=MEANINGS,
        pauses=PAUSES,
        is_revealed=is_revealed,
        can_be_live=not is_revealed,
    )


def back_to_user(request: Request) -> Response:
    """GET of an address that only takes a click, as after a reload: the user's page."""
    return RedirectResponse(f"/users/{words.segment(asked.name_in_path(request, 'acs_user_id'))}", status_code=303)


def read(console: Console, acs_user_id: str) -> Shown | None:
    """What is kept of a user; None when nothing is."""
    with console.reading() as connection:
        found = mirror.find_user(connection, acs_user_id)
        return None if found is None else _shown(console, connection, found)


def stamps_of(found: Mapping[str, Any]) -> Stamps:
    """Of a user as `mirror.find_user` gives it."""
    observed = found["observed"] if isinstance(found["observed"], Mapping) else {}
    live = {name: observed_value(observed, name) for name in MANAGED_FIELDS}
    return Stamps(fingerprint(found["drift"] or {}), fingerprint(live), fingerprint(found["desired"]))


def effective_policy(console: Console, connection: Connection, found: Mapping[str, Any]) -> Policy:
    """What may be done to this user now."""
    told = console.settings
    return policy_of(
        connection, found["acs_user_id"], found["acs_system_id"], repair=told.repair, recreate=told.recreate,
        at=clock.now(),
    )  # fmt: skip


def _shown(console: Console, connection: Connection, found: Mapping[str, Any]) -> Shown:
    acs_user_id, system = found["acs_user_id"], found["acs_system_id"]
    lines = history.history(connection, acs_user_id)
    desired_at, desired_by = desired.stamp_of(connection, acs_user_id)
    observed = found["observed"] if isinstance(found["observed"], Mapping) else {}
    return Shown(
        user=found,
        name=mirror.display_names(connection, [acs_user_id]).get(acs_user_id, acs_user_id),
        system=resyncs.rhythm_of(connection, system) if system else None,
        brand=mirror.brand_of(observed),
        policy=effective_policy(console, connection, found),
        rows=comparing.rows(found, mirror.moved_of(connection, acs_user_id), lines, desired_at),
        plan=comparing.plan_of(found),
        desired_at=desired_at,
        desired_by=desired_by,
        accepted=next((line for line in lines if _is_accepted(line)), None) if found["sync"] == "applying" else None,
        waiting_for=_waiting_for(observed),
        causes={each["code"]: likely_cause(each["code"], observed, at=clock.now()) for each in found["issues"]},
        recreation=recreations.latest(connection, acs_user_id),
        history=lines,
        attempts=attempts.of(connection, acs_user_id=acs_user_id, limit=10),
        audit=audit.lines(connection, kind="user", subject_id=acs_user_id[:200], limit=20),
        stamps=stamps_of(found),
    )


def _is_accepted(line: Mapping[str, Any]) -> bool:
    """A write that Seam took."""
    return str(line["what"]).startswith("/acs/users/") and line["detail"].get("outcome") == "ok"


def _waiting_for(observed: Mapping[str, Any]) -> list[str]:
    """What Seam's pending mutations lead to, in field names; or their codes when they name none."""
    entries = observed.get("pending_mutations")
    named = [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    return sorted(pending(observed)) or [str(each.get("mutation_code"))[:60] for each in named]


def _is_looked_at(console: Console, shown: Shown | None) -> bool:
    """A look at this user waits, or runs: the page will soon say something else."""
    if shown is None:
        return False
    acs_user_id, queues = shown.user["acs_user_id"], queues_of(console)
    modes = ("", ordered(shown.user["drift"] or {}))
    return any(queues.still_asked({acs_user_id: mode}) for mode in modes)
