"""Observed, desired, drift: values and pure functions.

An observed user is the raw JSON of Seam's answer; a desired user is a mapping of the fields that are managed.
Comparing follows what Seam is known to do to values (names are trimmed, phone numbers may come back partial, spaced,
masked or without `+`, instants in any precision): without that a comparison repairs for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seamkeeper import clock

Observed = Mapping[str, Any]
Desired = Mapping[str, Any]

# What POST /acs/users/update can set, in the order in which it is shown; suspending has endpoints of its own.
UPDATABLE_FIELDS = ("full_name", "email_address", "phone_number", "access_schedule", "hid_acs_system_id")
MANAGED_FIELDS = (*UPDATABLE_FIELDS, "is_suspended")

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_MASK = re.compile(r"[*xX•#]")
_ENDS = ("starts_at", "ends_at")


@dataclass(frozen=True, slots=True)
class Difference:
    """One drifted field: what Seam has, what is wanted."""

    observed: Any
    desired: Any

    def as_json(self) -> dict[str, Any]:
        """The two values, for the database and for people."""
        return {"observed": self.observed, "desired": self.desired}


def drift(observed: Observed, desired: Desired) -> dict[str, Difference]:
    """The managed fields in which observed, made comparable, differs from desired."""
    found = {}
    for name in MANAGED_FIELDS:
        if name not in desired:
            continue
        value = observed_value(observed, name)
        if not _same(name, value, desired[name]):
            found[name] = Difference(value, desired[name])
    return found


def is_same(observed: Observed, name: str, value: Any) -> bool:
    """True when a managed field holds this value, made comparable."""
    return name in MANAGED_FIELDS and _same(name, observed_value(observed, name), value)


def observed_value(observed: Observed, name: str) -> Any:
    """A managed field as Seam holds it; `email` is Seam's deprecated name of `email_address`. Who is not said to be
    suspended is not."""
    if name == "email_address":
        return observed.get("email_address") or observed.get("email")
    if name == "is_suspended":
        return observed.get(name) or False
    return observed.get(name)


def system_of(observed: Observed) -> str | None:
    """The acs_system_id; None when it is missing or no id, which no query could take."""
    value = observed.get("acs_system_id")
    return value if isinstance(value, str) else None


def pending(observed: Observed) -> dict[str, Any]:
    """What Seam has accepted and not yet applied: managed field -> value it leads to."""
    leads_to: dict[str, Any] = {}
    for mutation in _entries(observed, "pending_mutations"):
        to = mutation.get("to")
        if mutation.get("mutation_code") == "updating_user_information" and isinstance(to, dict):
            leads_to.update({name: to[name] for name in ("full_name", "email_address", "phone_number") if name in to})
        elif mutation.get("mutation_code") == "updating_access_schedule":
            leads_to["access_schedule"] = to
        elif mutation.get("mutation_code") == "updating_suspension_state" and isinstance(to, dict):
            leads_to["is_suspended"] = to.get("is_suspended")
    return leads_to


def is_underway(observed: Observed, name: str, desired: Any) -> bool:
    """True when a pending mutation already leads this field to the desired value: await it, do not repeat it."""
    leads_to = pending(observed)
    return name in leads_to and _same(name, leads_to[name], desired)


def codes(observed: Observed, kind: str) -> dict[str, Mapping[str, Any]]:
    """Error or warning code -> its entry; `kind` is "error" or "warning". Unknown codes are kept."""
    return {_word(entry.get(f"{kind}_code")): entry for entry in _entries(observed, f"{kind}s")}


def health(observed: Observed | None, *, expected: Collection[str] = ()) -> str:
    """`deleted`, `error`, `warning` or `ok`; None stands for a user who is gone. `expected` codes do not count."""
    if observed is None:
        return "deleted"
    for kind in ("error", "warning"):
        if set(codes(observed, kind)).difference(expected):
            return kind
    return "ok"


def is_current(schedule: Any, *, at: datetime) -> bool:
    """True while the schedule runs; without one, or with one that cannot be read, always."""
    ends = _instants(schedule)
    if not isinstance(ends, tuple):
        return True
    starts_at, ends_at = (end if isinstance(end, datetime) else None for end in ends)
    return (starts_at is None or starts_at <= at) and (ends_at is None or at < ends_at)


def is_deleting(observed: Observed) -> bool:
    """True while Seam carries out a deletion."""
    return any(mutation.get("mutation_code") == "deleting" for mutation in _entries(observed, "pending_mutations"))


def mistakes(desired: Desired, *, at: datetime) -> dict[str, str]:
    """Field -> what is wrong with the desired value and would be refused, or harm, at Seam; empty when all is well."""
    found = {name: "is not a field that can be managed" for name in desired if name not in MANAGED_FIELDS}
    for name, check in _CHECKS.items():
        if name in desired and (sentence := check(desired[name], at)):
            found[name] = sentence
    return found


def cannot_be_set(desired: Desired) -> dict[str, str]:
    """Field -> why no update leads there, whatever is sent; such a value is compared and told, never tried.

    Names, e-mail addresses and phone numbers cannot be unset ("" asks for that); an update takes both ends of a
    schedule or none (schema of /acs/users/update, whose prose says otherwise).
    """
    found = {
        name: "cannot be removed through Seam's API, only replaced"
        for name in ("full_name", "email_address", "phone_number")
        if desired.get(name) == ""
    }
    schedule = desired.get("access_schedule")
    if isinstance(schedule, Mapping) and set(schedule) <= {"starts_at", "ends_at"} and None in map(schedule.get, _ENDS):
        found["access_schedule"] = "with an open end cannot be set through Seam's API; give both ends, or null for none"
    return found


def _check_name(value: Any, _at: datetime) -> str | None:
    return None if isinstance(value, str) and value.strip() and "\x00" not in value else "must be a name, not empty"


def _check_email(value: Any, _at: datetime) -> str | None:
    return None if isinstance(value, str) and _EMAIL.fullmatch(value) else "must be an e-mail address"


def _check_phone(value: Any, _at: datetime) -> str | None:
    fits = isinstance(value, str) and _E164.fullmatch(value)
    return None if fits else "must be in E.164 form, such as +15555550100"


def _check_id(value: Any, _at: datetime) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be an id"


def _check_suspended(value: Any, _at: datetime) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _check_schedule(value: Any, at: datetime) -> str | None:
    """Seam's update takes both ends or null; an open end cannot be written back (schema of /acs/users/update)."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"starts_at", "ends_at"}:
        return "must hold starts_at and ends_at, or be null to remove the schedule"
    try:
        starts_at, ends_at = clock.parse(value["starts_at"]), clock.parse(value["ends_at"])
    except (ValueError, OverflowError):
        return "starts_at and ends_at must be ISO 8601 times with a time zone"
    if ends_at <= starts_at:
        return "ends_at is not after starts_at"
    return "ends_at is in the past" if ends_at <= at else None


_CHECKS: dict[str, Callable[[Any, datetime], str | None]] = {
    "full_name": _check_name,
    "email_address": _check_email,
    "phone_number": _check_phone,
    "access_schedule": _check_schedule,
    "hid_acs_system_id": _check_id,
    "is_suspended": _check_suspended,
}


def _same(name: str, observed: Any, desired: Any) -> bool:
    if name == "phone_number":
        return _same_phone(observed, desired)
    if name == "access_schedule":
        return bool(_instants(observed) == _instants(desired))
    return bool(_comparable(name, observed) == _comparable(name, desired))


def _comparable(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None  # nothing, however it is written
    return value.strip().casefold() if name == "email_address" else value.strip()


def _same_phone(observed: Any, desired: Any) -> bool:
    """Digit by digit from the end; a masked digit contradicts none; a partial number of 7 or more may lack its head."""
    if not isinstance(observed, str) or not isinstance(desired, str):
        return bool((observed or None) == (desired or None))
    seen = _MASK.sub("?", re.sub(r"[^0-9*xX•#]", "", observed))
    wanted = re.sub(r"[^0-9]", "", desired)
    if len(seen) > len(wanted) or (len(seen) < len(wanted) and len(seen) < 7):
        return False
    return all(a in ("?", b) for a, b in zip(reversed(seen), reversed(wanted), strict=False))


def _instants(schedule: Any) -> Any:
    """A schedule as two instants; missing, null and a schedule without any time are the same: none."""
    if not isinstance(schedule, Mapping):
        return schedule
    ends = tuple(instant(schedule.get(name)) for name in _ENDS)
    return None if ends == (None, None) else ends


def instant(value: Any) -> Any:
    """An instant of Seam's; what cannot be read as one stays as it is, None too."""
    try:
        return clock.parse(value) if value is not None else None
    except (ValueError, OverflowError):
        return value


def _word(value: Any) -> str:
    """A stranger's word as every database takes it."""
    return str(value).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _entries(observed: Observed, name: str) -> list[Mapping[str, Any]]:
    entries = observed.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
