"""What a re-read found: two standings compared. Seam never sends these; pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from seamkeeper.mirror import Standing, Verdict
from seamkeeper.users import codes, is_same

# All there are; none of them is an event of Seam's.
TYPES = frozenset(
    f"acs_user.{name}"
    for name in ("appeared", "changed", "error_raised", "error_cleared", "warning_raised", "warning_cleared",
                 "drifted", "in_sync", "vanished", "recreated")
)  # fmt: skip

# What has lines of its own, or moves without meaning anything.
_NOT_A_CHANGE = {"errors", "warnings", "pending_mutations", "last_successful_sync_at"}


@dataclass(frozen=True, slots=True)
class Change:
    """One finding about one user: `acs_user.` and what happened; `detail` is JSON that holds no values of people."""

    type: str
    acs_user_id: str
    detail: Mapping[str, Any]
    source: str


def find_changes(
    before: Standing, raw: Mapping[str, Any], verdict: Verdict, *, source: str,
    sent: Mapping[str, Any] = MappingProxyType({}), expected: tuple[Collection[str], Collection[str]] = ((), ()),
) -> list[Change]:  # fmt: skip
    """Everything that is different from what we held, in the order in which a person would tell it.

    `sent`: field -> the value we sent last; a field that changed to it moved by our own hand, and is no news to
    anybody. `expected`: codes that are as they should be, in the standing and now; they are not told.
    """
    found = [
        *_of_the_user(before, raw, sent),
        *_of_codes(before.observed or {}, raw, expected),
        *_of_the_verdict(before, verdict),
    ]
    return [Change(f"acs_user.{name}", before.acs_user_id, detail, source) for name, detail in found]


def vanished(before: Standing, *, source: str) -> list[Change]:
    """The change of a user who is gone; none for one who was gone already."""
    return [] if before.is_gone else [Change("acs_user.vanished", before.acs_user_id, {}, source)]


def _of_the_user(
    before: Standing, raw: Mapping[str, Any], sent: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if before.observed is None:
        yield "appeared", {}
        return
    names = (set(raw) | set(before.observed)) - _NOT_A_CHANGE
    if fields := sorted(name for name in names if raw.get(name) != before.observed.get(name)):
        by_us = [name for name in fields if name in sent and is_same(raw, name, sent[name])]
        yield "changed", {"fields": fields} | ({"by_us": by_us} if by_us else {})


def _of_codes(
    before: Mapping[str, Any], raw: Mapping[str, Any], expected: tuple[Collection[str], Collection[str]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("error", "warning"):
        had = [code for code in codes(before, kind) if code not in expected[0]]
        has = [code for code in codes(raw, kind) if code not in expected[1]]
        yield from ((f"{kind}_raised", {"code": code}) for code in has if code not in had)
        yield from ((f"{kind}_cleared", {"code": code}) for code in had if code not in has)


def _of_the_verdict(before: Standing, verdict: Verdict) -> Iterator[tuple[str, dict[str, Any]]]:
    if verdict.sync == "drifted" and (before.sync != "drifted" or set(before.drift) != set(verdict.drift)):
        yield "drifted", {"fields": sorted(verdict.drift)}
    elif verdict.sync == "in_sync" and before.sync != "in_sync":
        yield "in_sync", {}
