"""What is to be done about one user, and why not more: a pure function of what was read and what is wanted.

`plan_of` is the whole decision. It touches nothing: reconcile.py gathers what it needs and carries out what it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from seamkeeper import clock, users
from seamkeeper.mirror import Verdict
from seamkeeper.orders import DRY, NOT_SENT, SHOWN
from seamkeeper.policies import Policy
from seamkeeper.users import Difference
from workers import playbook

UPDATE, SUSPEND, UNSUSPEND = "/acs/users/update", "/acs/users/suspend", "/acs/users/unsuspend"
_FOUGHT = "was put right and changed again several times: another writer; a person decides"
_FAILED = "was sent several times and did not stay; a person decides"
FINDINGS = ("cannot_be_set", "desired_is_wrong", "another_writer", "update_keeps_failing")  # those a plan decides on


@dataclass(frozen=True, slots=True)
class Writes:
    """Our own writes to a user lately: the fingerprint by which we know our own hand, and the budget.

    `times`: (field, desired value as JSON) -> how often Seam accepted it within the window. `last`: field -> the value
    accepted last. `arrived`: fields that were seen with the value we had sent.
    """

    times: Mapping[tuple[str, str], int] = field(default_factory=dict)
    last: Mapping[str, Any] = field(default_factory=dict)
    arrived: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Situation:
    """All beside the observation that decides. `given_up`: (field, desired value as JSON) -> code of the open finding
    that leaves it to a person. `is_ordered`: a person asked for the repair by name, which overrules the budget.
    `is_slot_free`: a subscription of the access system may be, so that its lack is no reason not to try."""

    desired: Mapping[str, Any]
    policy: Policy
    at: datetime
    is_leaving: bool = False
    is_connected: bool = True
    is_ordered: bool = False
    is_slot_free: bool = False
    writes: Writes = field(default_factory=Writes)
    given_up: Mapping[tuple[str, str], str] = field(default_factory=dict)
    budget: int = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One write at Seam: the endpoint and the fields it puts right."""

    endpoint: str
    fields: Mapping[str, Difference]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the user stands; the writes that are due; of our findings those that are open now (code -> field -> desired
    value); and the fields that nothing is sent for, with the reason."""

    verdict: Verdict
    steps: tuple[Step, ...] = ()
    findings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    held_back: Mapping[str, str] = field(default_factory=dict)


def plan_of(raw: users.Observed, now: Situation) -> Plan:
    """How an observation stands, and what is done about it now."""
    if not now.desired or now.policy.repair == "off":
        return Plan(Verdict("unknown", {}, "comparing is off" if now.desired else "nothing is desired of this user"))
    drift = users.drift(raw, now.desired)
    shown = {name: each.as_json() for name, each in drift.items()}
    open_fields = {name: each for name, each in drift.items() if not users.is_underway(raw, name, each.desired)}
    open_fields |= _refused_by_provider(raw, now, drift)
    if not open_fields:
        return Plan(Verdict("applying" if drift or users.pending(raw) else "in_sync", shown))
    held_back, findings = _held_back(raw, now, open_fields)
    due = {name: each for name, each in open_fields.items() if name not in held_back}
    reason = _why_nobody_writes(raw, now) if due else None
    sentence = reason or _sentence(held_back)
    sync = "paused" if due and now.policy.repair == "paused" else "drifted"
    if not drift:  # the access system refused it, but Seam shows what is desired
        sync = "in_sync"
    steps = () if reason else tuple(_steps(due))
    return Plan(Verdict(sync, shown, sentence), steps, findings, held_back)


def key(name: str, desired: Any) -> tuple[str, str]:
    """A field and a desired value, as the budget counts them."""
    return name, json.dumps(desired, sort_keys=True)


def _refused_by_provider(raw: users.Observed, now: Situation, drift: Mapping[str, Any]) -> dict[str, Difference]:
    """Seam shows the new value and the access system refused it: what we sent last is sent again."""
    if users.pending(raw) or not playbook.is_to_resend(raw, is_slot_free=now.is_slot_free):
        return {}
    ours = {name for name, value in now.writes.last.items() if name in now.desired and value == now.desired[name]}
    names = (ours or set(now.desired)) & set(users.UPDATABLE_FIELDS) - set(drift)
    return {name: Difference(users.observed_value(raw, name), now.desired[name]) for name in sorted(names)}


def _held_back(
    raw: users.Observed, now: Situation, open_fields: Mapping[str, Difference]
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Field -> why it is not sent, and the findings that say so."""
    wanted = {name: each.desired for name, each in open_fields.items()}
    impossible = users.cannot_be_set(wanted)
    wrong = {name: said for name, said in users.mistakes(wanted, at=now.at).items() if name not in impossible}
    spent = [
        name for name, value in wanted.items()
        if name not in impossible and name not in wrong and not now.is_ordered and _is_spent(now, name, value)
    ]  # fmt: skip
    is_refused = playbook.is_to_resend(raw)
    fought = [name for name in spent if _is_fought(now, name, wanted[name], is_refused)]
    failing = [name for name in spent if name not in fought]
    held_back = impossible | wrong | dict.fromkeys(fought, _FOUGHT)
    held_back |= dict.fromkeys(failing, _FAILED)
    found = {"cannot_be_set": impossible, "desired_is_wrong": wrong, "another_writer": fought,
             "update_keeps_failing": failing}  # fmt: skip
    return held_back, {code: {name: wanted[name] for name in names} for code, names in found.items() if names}


def _is_spent(now: Situation, name: str, desired: Any) -> bool:
    which = key(name, desired)
    return which in now.given_up or now.writes.times.get(which, 0) >= now.budget


def _is_fought(now: Situation, name: str, desired: Any, is_refused: bool) -> bool:
    """It had arrived and was moved away; else it never stayed. What an open finding said once stays said."""
    said = now.given_up.get(key(name, desired))
    return said == "another_writer" if said else name in now.writes.arrived and not is_refused


def _why_nobody_writes(raw: users.Observed, now: Situation) -> str | None:
    if reason := playbook.why_not_to_write(raw, is_slot_free=now.is_slot_free or now.is_ordered):
        return reason
    if now.is_leaving:
        return "the deletion of the user was announced"
    if not now.is_connected:
        return "the access system is disconnected; repairs are suspended until it is back"
    if now.policy.repair == "paused":
        until = clock.iso(now.policy.paused_until) if now.policy.paused_until else "somebody resumes it"
        why = f" ({now.policy.reason})" if now.policy.reason else ""
        return f"paused until {until} for the {now.policy.repair_by}{why}"
    if now.policy.repair == "plan":
        if now.policy.repair_by == DRY:
            return f"a plan was asked for: {SHOWN}"
        said_by = "SEAMKEEPER_REPAIR" if now.policy.repair_by == "settings" else f"policy of the {now.policy.repair_by}"
        return f"{said_by}=plan: {SHOWN}"
    return None


def _steps(due: Mapping[str, Difference]) -> Iterable[Step]:
    """Whoever shall not enter is suspended first, and let in again only behind what the update restricts."""
    update = {name: each for name, each in due.items() if name in users.UPDATABLE_FIELDS}
    suspended = {name: each for name, each in due.items() if name == "is_suspended"}
    is_suspending = any(each.desired for each in suspended.values())
    if is_suspending:
        yield Step(SUSPEND, suspended)
    if update:
        yield Step(UPDATE, update)
    if suspended and not is_suspending:
        yield Step(UNSUSPEND, suspended)


def _sentence(held_back: Mapping[str, str]) -> str | None:
    words = "; ".join(f"{name} {said}" for name, said in held_back.items())
    return f"{NOT_SENT}{words}" if words else None
