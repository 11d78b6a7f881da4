"""What a re-read found: two standings compared. Seam never sends these; pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seamkeeper.mirror import Standing, Verdict
from seamkeeper.users import codes

# What has lines of its own, or moves without meaning anything.
_NOT_A_CHANGE = {"errors", "warnings", "pending_mutations", "last_successful_sync_at"}


@dataclass(frozen=True, slots=True)
class Change:
    """One finding about one user: `acs_user.` and what happened; `detail` is JSON that holds no values of people."""

    type: str
    acs_user_id: str
    detail: Mapping[str, Any]
    source: str


def find_changes(before: Standing, raw: Mapping[str, Any], verdict: Verdict, *, source: str) -> list[Change]:
    """Everything that is different from what we held, in the order in which a person would tell it."""
    found = [*_of_the_user(before, raw), *_of_codes(before.observed or {}, raw), *_of_the_verdict(before, verdict)]
    return [Change(f"acs_user.{name}", before.acs_user_id, detail, source) for name, detail in found]


def vanished(before: Standing, *, source: str) -> list[Change]:
    """The change of a user who is gone; none for one who was gone already."""
    return [] if before.is_gone else [Change("acs_user.vanished", before.acs_user_id, {}, source)]


def _of_the_user(before: Standing, raw: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if before.observed is None:
        yield "appeared", {}
        return
    names = (set(raw) | set(before.observed)) - _NOT_A_CHANGE
    if fields := sorted(name for name in names if raw.get(name) != before.observed.get(name)):
        yield "changed", {"fields": fields}


def _of_codes(before: Mapping[str, Any], raw: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("error", "warning"):
        had, has = codes(before, kind), codes(raw, kind)
        yield from ((f"{kind}_raised", {"code": code}) for code in has if code not in had)
        yield from ((f"{kind}_cleared", {"code": code}) for code in had if code not in has)


def _of_the_verdict(before: Standing, verdict: Verdict) -> Iterator[tuple[str, dict[str, Any]]]:
    if verdict.sync == "drifted" and (before.sync != "drifted" or set(before.drift) != set(verdict.drift)):
        yield "drifted", {"fields": sorted(verdict.drift)}
    elif verdict.sync == "in_sync" and before.sync != "in_sync":
        yield "in_sync", {}
