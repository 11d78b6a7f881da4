"""One user field by field: what is desired, what is live, what was there before, and what is done about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console import plans
from console.plans import Planned
from seamkeeper import clock
from seamkeeper.users import MANAGED_FIELDS, UPDATABLE_FIELDS, is_underway, observed_value

_HOLDING = ("cannot_be_set", "desired_is_wrong", "another_writer", "update_keeps_failing")


@dataclass(frozen=True, slots=True)
class Move:
    """Who moved a field: `outside` (seen when, by which way) or `desired` (what is wanted was changed then)."""

    by: str
    at: str | None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One managed field. `known`: its value before somebody else moved it, or as it is. `verdict`: `same`, `differs`,
    `on its way`, `not managed`, `deleted` or `never read`; `held`: why nothing is sent for it."""

    name: str
    desired: Any
    live: Any
    known: Any
    verdict: str
    move: Move | None = None
    held: str | None = None

    @property
    def is_managed(self) -> bool:
        return self.verdict != "not managed"


@dataclass(frozen=True, slots=True)
class Call:
    """One write at Seam and the fields it carries."""

    endpoint: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about the user: `planned` as `seamkeeper plan` says it, and the calls it comes to."""

    planned: Planned
    calls: tuple[Call, ...]

    @property
    def number(self) -> int:
        """Of fields to change."""
        return sum(len(call.fields) for call in self.calls)


def rows(
    user: Mapping[str, Any], moved: Mapping[str, Any], history: Iterable[Mapping[str, Any]], desired_at: datetime | None
) -> list[Row]:
    """Every field, managed or not. `moved` and `history` as the mirror and the history give them."""
    held, sources = held_fields(user), _sources(history)
    return [_row(user, name, moved.get(name), sources.get(name), desired_at, held.get(name)) for name in MANAGED_FIELDS]


def plan_of(user: Mapping[str, Any]) -> Plan:
    """The plan of a user whom somebody names."""
    planned = plans.planned(user, is_named=True)
    impossible = held_fields(user, codes=_HOLDING[:2])
    due = [name for name in planned.fields if name not in impossible]
    return Plan(planned, tuple(_calls(due, user["desired"])) if planned.state == "change" else ())


def held_fields(user: Mapping[str, Any], *, codes: Sequence[str] = _HOLDING) -> dict[str, str]:
    """Field -> the code of the open finding for which nothing is sent."""
    return {
        name: issue["code"]
        for issue in user["issues"]
        if issue["kind"] == "finding" and issue["code"] in codes
        for name in _fields(issue["detail"])
    }


def _row(
    user: Mapping[str, Any], name: str, moved: Mapping[str, Any] | None, source: str | None,
    desired_at: datetime | None, held: str | None,
) -> Row:  # fmt: skip
    observed, desired = user["observed"], user["desired"]
    live = observed_value(observed, name) if isinstance(observed, Mapping) else None
    verdict = _verdict(user, name)
    is_settled = verdict in ("same", "on its way") or moved is None
    known = live if is_settled or moved is None else moved["from"]
    move = _move(moved, source, desired_at) if verdict == "differs" else None
    return Row(name, desired.get(name), live, known, verdict, move, held if verdict == "differs" else None)


def _verdict(user: Mapping[str, Any], name: str) -> str:
    observed, desired = user["observed"], user["desired"]
    if name not in desired:
        return "not managed"
    if user["health"] == "deleted":
        return "deleted"
    if not isinstance(observed, Mapping):
        return "never read"
    if is_underway(observed, name, desired[name]):
        return "on its way"
    return "differs" if name in (user["drift"] or {}) else "same"


def _move(moved: Mapping[str, Any] | None, source: str | None, desired_at: datetime | None) -> Move:
    """The later of the two: somebody moved it at Seam, or what is wanted was changed."""
    if moved and (desired_at is None or clock.parse(moved["at"]) >= desired_at):
        return Move("outside", moved["at"], source)
    return Move("desired", clock.iso(desired_at) if desired_at else None)


def _sources(history: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Field -> by which way its newest move by somebody else was seen; the history comes newest first."""
    found: dict[str, str] = {}
    for line in history:
        if line["what"] == "acs_user.changed" and isinstance(line["detail"], Mapping):
            for name in set(line["detail"].get("fields", ())) - set(line["detail"].get("by_us", ())):
                found.setdefault("email_address" if name == "email" else name, line["source"])
    return found


def _calls(due: Sequence[str], desired: Mapping[str, Any]) -> Iterable[Call]:
    update = tuple(name for name in due if name in UPDATABLE_FIELDS)
    if "is_suspended" in due and desired.get("is_suspended"):
        yield Call("/acs/users/suspend", ("is_suspended",))
    if update:
        yield Call("/acs/users/update", update)
    if "is_suspended" in due and not desired.get("is_suspended"):
        yield Call("/acs/users/unsuspend", ("is_suspended",))


def _fields(detail: Any) -> Iterable[str]:
    fields = detail.get("fields") if isinstance(detail, Mapping) else None
    return fields if isinstance(fields, Mapping) else ()
