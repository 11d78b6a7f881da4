"""A plan: what would be written about whom, and why nothing about others; kept in a file, and done exactly."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seamkeeper import clock, users
from seamkeeper.orders import NOT_SENT, SHOWN

VERSION = 1
_IMPOSSIBLE = ("cannot_be_set", "desired_is_wrong")
_FOUGHT = ("another_writer", "update_keeps_failing")


class BadPlan(ValueError):
    """A file that is no plan, or one of another version."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One user. `state`: `change`, `blocked`, `applying`, `in_sync`, `unmanaged`, `gone`, `unread`; `fields`: of a
    change, field -> observed and desired value; `reason`: why not more."""

    acs_user_id: str
    state: str
    acs_system_id: str | None = None
    name: str | None = None
    read_at: str | None = None
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reason: str | None = None


def planned(user: Mapping[str, Any], *, is_named: bool) -> Planned:
    """What `apply` would do about a user, from `users show`.

    A user with whose values others fight is left alone in bulk: only who names the user overrules the budget.
    """
    observed = user["observed"] or {}
    name = observed.get("display_name") or observed.get("full_name")
    state, reason = _state(user, observed, is_named=is_named)
    fields = user["drift"] or {} if state == "change" else {}
    return Planned(
        user["acs_user_id"], state, user["acs_system_id"], name if isinstance(name, str) else None, user["read_at"],
        fields, reason,
    )  # fmt: skip


def _state(user: Mapping[str, Any], observed: Mapping[str, Any], *, is_named: bool) -> tuple[str, str | None]:
    reason = user["reason"]
    if user["deleted_at"]:
        return "gone", reason
    if user["sync"] not in ("drifted", "paused"):
        return ("unmanaged" if user["sync"] == "unknown" else str(user["sync"])), reason
    is_free = reason is None or SHOWN in reason or reason.startswith(NOT_SENT)
    if user["sync"] == "paused" or not is_free:
        return "blocked", reason
    impossible, fought = _held(user, _IMPOSSIBLE), _held(user, _FOUGHT)
    if user["drift"] and not set(user["drift"]) - set(impossible):
        return "blocked", "; ".join(impossible.values())
    if fought and not is_named:
        return "blocked", f"{'; '.join(fought.values())}: name the user to send it once more"
    return "change", "; ".join((impossible | fought).values()) or None


def _held(user: Mapping[str, Any], codes: Sequence[str]) -> dict[str, str]:
    """Field -> the message of the open finding that holds it."""
    return {
        name: issue["message"]
        for issue in user["issues"]
        if issue["kind"] == "finding" and issue["code"] in codes
        for name in (issue["detail"] or {}).get("fields", ())
    }


def calls(plan: Sequence[Planned]) -> int:
    """About how many writes at Seam a plan comes to: an update, and suspending is a call of its own."""
    return sum(
        bool(set(each.fields) - {"is_suspended"} or not each.fields) + ("is_suspended" in each.fields)
        for each in plan if each.state == "change"
    )  # fmt: skip


def as_json(plan: Sequence[Planned], *, by: str) -> dict[str, Any]:
    """A plan as `plan --json` prints it and a file holds it: users without anything to do only as their number."""
    told = ("change", "blocked", "applying", "gone", "unread")
    counts = {state: sum(each.state == state for each in plan) for state in (*told, "in_sync", "unmanaged")}
    listed = [asdict(each) for each in plan if each.state in told]
    return {"seamkeeper_plan": VERSION, "made_at": clock.iso(clock.now()), "made_by": by, "counts": counts,
            "api_calls": calls(plan), "users": listed}  # fmt: skip


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Whole or not at all, and for its owner only: it holds data of people. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: Path) -> list[Planned]:
    """The changes of a plan in a file. Raises `BadPlan` and OSError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadPlan("is not JSON in UTF-8") from error
    version = document.get("seamkeeper_plan") if isinstance(document, dict) else None
    if version is None:
        raise BadPlan("is no plan of `seamkeeper plan --out`")
    if version != VERSION:
        raise BadPlan(f"is a plan of version {version}; this release reads version {VERSION}. Plan again")
    try:
        found = [_checked(each) for each in document["users"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadPlan("is damaged: a user lacks what a plan holds") from error
    return [each for each in found if each.state == "change"]


def _checked(each: Any) -> Planned:
    found = Planned(**each)
    if not isinstance(found.acs_user_id, str) or not isinstance(found.fields, dict):
        raise TypeError("a user without an id, or without fields")
    for name, values in found.fields.items():
        if name not in users.MANAGED_FIELDS or set(values) != {"observed", "desired"}:
            raise KeyError(name)
    return found
