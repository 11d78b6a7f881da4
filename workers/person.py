"""Who is meant: the body of `/acs/users/create` for somebody who is gone, and who of a list is that person.

Pure functions. A new user gets every value that create takes: the desired one, else the last observed one. Without the
schedule that was there, a new user could open doors at times at which the old one could not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seamkeeper import clock, users
from workers import playbook

_SKEW = timedelta(minutes=2)  # by which Seam's clock may be behind ours


@dataclass(frozen=True, slots=True)
class Wish:
    """The body for Seam; or why there is none, for the person who can mend it."""

    create: Mapping[str, Any]
    problem: str | None = None


def wish_for(desired: users.Desired, observed: users.Observed, acs_system_id: str | None, *, at: datetime) -> Wish:
    """The new user who is wanted in place of one who is gone."""
    if acs_system_id is None:
        return Wish({}, "the user was never read: nobody knows the access system")
    wanted = {name: desired[name] for name in _WORDS if desired.get(name)}
    if wrong := users.mistakes(wanted, at=at):
        return Wish({}, "; ".join(f"{name} {sentence}" for name, sentence in wrong.items()))
    seen = {name: users.observed_value(observed, name) for name in _WORDS if name not in desired}
    seen = {name: value for name, value in seen.items() if value and not users.mistakes({name: value}, at=at)}
    if "full_name" not in wanted | seen:
        return Wish({}, "full_name is neither desired nor known, and Seam makes nobody without a name")
    schedule = desired["access_schedule"] if "access_schedule" in desired else observed.get("access_schedule")
    whole, problem = _schedule(schedule, at)
    if problem:
        return Wish({}, f"access_schedule {problem}")
    body = {"acs_system_id": acs_system_id, **seen, **wanted, **whole}
    identity = observed.get("user_identity_id")
    return Wish(body | ({"user_identity_id": identity} if isinstance(identity, str) else {}))


def alike(
    page: Iterable[Mapping[str, Any]], create: Mapping[str, Any], *, not_these: Iterable[str], since: datetime | None
) -> list[Mapping[str, Any]]:
    """Those who may be the person a body of create describes: with `since`, only who was created after it. Who is gone
    or going is nobody."""
    passed_over = set(not_these)
    return [
        raw for raw in page
        if raw["acs_user_id"] not in passed_over and _is_alike(raw, create)
        and not playbook.is_gone(raw) and not users.is_deleting(raw) and "being_deleted" not in playbook.codes_of(raw)
        and (since is None or _is_since(raw.get("created_at"), since))
    ]  # fmt: skip


def is_surely(raw: Mapping[str, Any], create: Mapping[str, Any]) -> bool:
    """The same identity or e-mail address, not only the same name."""
    return _is(raw, create, "user_identity_id") or _is(raw, create, "email_address")


_WORDS = ("full_name", "email_address", "phone_number")


def _is_alike(raw: Mapping[str, Any], create: Mapping[str, Any]) -> bool:
    """The identity decides; else the e-mail address; else the name. What is missing on one side (Seam may show it
    later, an access system may not keep it) decides nothing."""
    for name in ("user_identity_id", "email_address"):
        if create.get(name) and users.observed_value(raw, name):
            return _is(raw, create, name)
    return _is(raw, create, "full_name")


def _is(raw: Mapping[str, Any], create: Mapping[str, Any], name: str) -> bool:
    seen = users.observed_value(raw, name)
    if name == "full_name":
        seen = seen or raw.get("display_name")
    wanted = create.get(name)
    if not isinstance(seen, str) or not isinstance(wanted, str) or not wanted.strip():
        return False
    return seen.strip().casefold() == wanted.strip().casefold()


def _is_since(created_at: Any, since: datetime) -> bool:
    """What cannot be read as a time excludes nobody: those who were there before are named in `not_these`."""
    at = users.instant(created_at)
    return not isinstance(at, datetime) or at >= since - _SKEW


def _schedule(schedule: Any, at: datetime) -> tuple[dict[str, Any], str | None]:
    """As create takes it: either end may be open. A time that is over is nobody's: the person may not enter now."""
    if schedule is None:
        return {}, None
    if not isinstance(schedule, Mapping):
        return {}, "cannot be read"
    ends = {name: users.instant(schedule.get(name)) for name in ("starts_at", "ends_at")}
    if any(end is not None and not isinstance(end, datetime) for end in ends.values()):
        return {}, "cannot be read"
    if ends["ends_at"] is not None and ends["ends_at"] <= at:
        return {}, "is over: there is nothing to open for a new user"
    found = {name: clock.iso(end) for name, end in ends.items() if end is not None}
    return ({"access_schedule": {"ends_at": None, **found}} if found else {}), None
