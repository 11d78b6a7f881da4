"""Reconcile one user: the clock, the read, the mirror, what changed, and the repair.

Safe to run at any time, any number of times. The read happens inside the user's turn (workers/jobs.py takes it), and
the clock is read before it: an observation is as old as its request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from seamkeeper import clock, database, history, issues, logs, mirror, orders, systems, users
from seamkeeper.desired import desired_of
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.journal import is_deletion_announced
from seamkeeper.mirror import Standing, Verdict
from seamkeeper.policies import Policy, policy_of
from workers import findings, playbook, recreate, repair
from workers.changes import Change, find_changes, vanished
from workers.plan import SUSPEND, Plan, Situation, Writes, plan_of
from workers.tools import Tools

_UNKNOWN_LOOKS = 2  # how often a user is looked for who was announced, never seen and is not there
_LONGEST_LOOK_AHEAD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Ask:
    """Why this run: in words, by which way it came (`webhook`, `resync`, …), the how-manieth later look it is (0: asked
    for by an event, a resync or a person), and in which mode (seamkeeper/orders.py): a dry run writes nothing at Seam,
    an ordered one is a person's."""

    acs_user_id: str
    why: str
    source: str
    step: int = 0
    mode: str = orders.ORDINARY

    @property
    def is_dry(self) -> bool:
        """Somebody wants to see what would be done."""
        return self.mode == orders.DRY

    @property
    def is_ordered(self) -> bool:
        """A person ordered the repair itself."""
        return orders.is_ordered(self.mode)


def reconcile(tools: Tools, ask: Ask) -> None:
    """One run, inside the user's turn. Raises Temporary and Permanent, as Seam's API and the repair do."""
    with database.reading(tools.engine) as connection:
        acs_system_id = mirror.system_of(connection, ask.acs_user_id)  # whose circuit it is, if we know the user
    read_at = clock.now()
    raw = tools.seam.get_user(ask.acs_user_id, acs_system_id=acs_system_id)
    if raw is None:
        _not_there(tools, ask, read_at)
    else:
        _there(tools, ask, raw, read_at)


def _there(tools: Tools, ask: Ask, raw: Mapping[str, Any], read_at: datetime) -> None:
    with tools.engine.begin() as connection:
        before = mirror.standing(connection, ask.acs_user_id)
        if not mirror.is_newer(before, read_at):
            _is_older(tools, ask)
            return
        now = _situation(tools, connection, ask, raw, read_at)
        if before.is_gone and now.is_leaving and ask.step < len(tools.settings.reread_delays):
            look_again(tools, ask)  # an answer from before the deletion; only Seam's lasting word undoes a tombstone
            return
        plan = _plan(ask, raw, now)
        _keep(tools, connection, ask, before, raw, now, plan)
        is_gone = playbook.is_gone(raw)
        is_kept_back = is_gone or ask.is_dry
        unsettled = None if is_kept_back else recreate.back(tools, connection, raw, is_desired=bool(now.desired))
    if ask.is_dry:  # nothing follows: who is looked at again is so by the ask that was there before
        return
    is_sent = _carry_out(tools, ask, raw, plan)
    if is_sent or plan.verdict.sync == "applying" or now.is_leaving or playbook.is_to_look_again(raw):
        look_again(tools, ask)
    elif starts_at := playbook.next_start(raw, at=now.at):
        _look_at(tools, ask, starts_at)
    if is_gone:
        recreate.in_place_of(tools, ask, raw)
    elif unsettled:
        recreate.find_out(tools, ask, unsettled, raw, is_back=True)
    if "desired_is_wrong" in plan.findings and not ask.step:  # the looks that follow would only be dead of the same
        raise Permanent(f"{ask.acs_user_id}: mend the desired state: {plan.verdict.reason}", cause="desired_is_wrong")


def _situation(tools: Tools, connection: Connection, ask: Ask, raw: Mapping[str, Any], read_at: datetime) -> Situation:
    told, acs_user_id, system = tools.settings, ask.acs_user_id, users.system_of(raw)
    since = read_at - told.fight_window
    own = history.own_writes(connection, acs_user_id, since=since)
    return Situation(
        desired=desired_of(connection, acs_user_id),
        policy=_in_mode(ask, policy_of(
            connection, acs_user_id, system, repair=told.repair, recreate=told.recreate, at=read_at
        )),
        at=read_at,
        is_leaving=is_deletion_announced(connection, acs_user_id),
        is_connected=systems.is_connected(connection, system),
        is_ordered=ask.is_ordered,
        is_slot_free=ask.mode == orders.SLOT,
        writes=Writes(own.times, own.last, history.arrivals(connection, acs_user_id, since=since)),
        given_up=findings.given_up(connection, acs_user_id),
        budget=told.fight_repairs,
    )  # fmt: skip


def _in_mode(ask: Ask, policy: Policy) -> Policy:
    """A dry run writes nothing; an order overrules `plan`, but neither a pause nor `off`."""
    if ask.is_dry and policy.repair == "apply":
        return replace(policy, repair="plan", repair_by=orders.DRY)
    return replace(policy, repair="apply") if ask.is_ordered and policy.repair == "plan" else policy


def _plan(ask: Ask, raw: Mapping[str, Any], now: Situation) -> Plan:
    """Of what a person ordered exactly what they saw is written, or nothing: then nobody has decided anything."""
    plan = plan_of(raw, now)
    if not plan.steps or orders.is_as_planned(ask.mode, plan.verdict.drift):
        return plan
    plan = plan_of(raw, replace(now, is_ordered=False))
    return replace(plan, steps=(), verdict=replace(plan.verdict, sync="drifted", reason=orders.MOVED))


def _keep(
    tools: Tools, connection: Connection, ask: Ask, before: Standing, raw: Mapping[str, Any], now: Situation, plan: Plan
) -> None:
    """The mirror, the issues, the history and the reactions to it: all of one observation, in one transaction."""
    expected = playbook.expected(raw, at=now.at)
    had = playbook.expected(before.observed, at=before.read_at) if before.observed and before.read_at else []
    found = find_changes(
        before, raw, plan.verdict, source=ask.source, sent=now.writes.last, expected=(had, expected)
    )  # fmt: skip
    health = users.health(raw, expected=expected)
    mirror.keep(connection, before, raw, plan.verdict, health=health, read_at=now.at, sent=now.writes.last)
    issues.keep_codes(connection, ask.acs_user_id, raw, expected=expected)
    findings.keep(tools, connection, raw, plan, since=now.at - tools.settings.fight_window)
    _note(tools, connection, found)


def _carry_out(tools: Tools, ask: Ask, raw: Mapping[str, Any], plan: Plan) -> bool:
    """The writes of the plan, each marked in the mirror; True when something was sent."""
    source = history.ORDERED if ask.is_ordered else ask.source
    refused, is_sent = None, False
    for step in plan.steps:
        try:
            repair.carry_out(tools, raw, step, asked_by=ask.why, source=source)
            is_sent = True
        except (Permanent, Temporary) as error:
            _mark(tools, ask, Verdict("drifted", plan.verdict.drift, str(error)))
            if is_sent:  # what was accepted before is looked at, whatever becomes of the rest
                look_again(tools, ask)
            if isinstance(error, Temporary) or step.endpoint != SUSPEND:
                raise
            refused = error  # an access system that suspends nobody may still take the schedule
    if refused:
        raise refused
    if plan.steps:
        rest = {name: each for name, each in plan.verdict.drift.items() if name in plan.held_back}
        sent = Verdict("drifted", rest, plan.verdict.reason) if rest else Verdict("applying", plan.verdict.drift)
        _mark(tools, ask, sent)
    return bool(plan.steps)


def _mark(tools: Tools, ask: Ask, verdict: Verdict) -> None:
    with tools.engine.begin() as connection:
        mirror.mark(connection, ask.acs_user_id, verdict)


def _not_there(tools: Tools, ask: Ask, read_at: datetime) -> None:
    """Seam says 404: a tombstone. Only who was announced, never seen and not deleted is looked for again first: the
    event can be ahead of the API. A dry run leaves it to the others: more may follow from it."""
    if ask.is_dry:
        return
    with tools.engine.begin() as connection:
        before = mirror.standing(connection, ask.acs_user_id)
        if not mirror.is_newer(before, read_at):
            _is_older(tools, ask)
            return
        is_new = before.observed is None and not before.is_gone
        is_early = is_new and not is_deletion_announced(connection, ask.acs_user_id)
        is_gone = not is_early or ask.step >= _UNKNOWN_LOOKS
        if is_gone:
            mirror.bury(connection, ask.acs_user_id, read_at=read_at, reason="Seam answered 404")
            issues.keep_codes(connection, ask.acs_user_id, None)
            _note(tools, connection, vanished(before, source=ask.source))
    if is_gone:
        recreate.in_place_of(tools, ask)
    else:
        look_again(tools, ask)


def _is_older(tools: Tools, ask: Ask) -> None:
    """Within a turn only clocks that disagree lead here: what was read is not kept, and must not be the last look."""
    logs.get().warning("observation.older", acs_user_id=ask.acs_user_id)
    look_again(tools, ask)


def look_again(tools: Tools, ask: Ask) -> None:
    """Read the user once more, later, and later still: 5 s, 15 s, 60 s, 5 min, 30 min; then events and resyncs do. Not
    after a dry run: the next look might write."""
    if ask.is_dry:
        return
    delays = tools.settings.reread_delays
    if ask.step < len(delays):
        delay, step = timedelta(seconds=delays[ask.step]), ask.step + 1
        tools.queues.ask_reconcile(ask.acs_user_id, why=ask.why, source=ask.source, delay=delay, step=step)


def _look_at(tools: Tools, ask: Ask, at: datetime) -> None:
    """Once more when the schedule starts: what is expected until then is an issue from there on."""
    delay = at - clock.now() + timedelta(seconds=5)
    if timedelta() < delay < _LONGEST_LOOK_AHEAD:
        step = len(tools.settings.reread_delays) + 1  # behind all others: none of them stands for it, nor it for them
        why = "the access schedule starts"
        tools.queues.ask_reconcile(ask.acs_user_id, why=why, source="resync", delay=delay, step=step)


def _note(tools: Tools, connection: Connection, found: list[Change]) -> None:
    """The history's lines, and their reactions as jobs of their own. These are asked for before the mirror is
    committed, for after that no look finds the change again: they may run twice, and are never forgotten."""
    for change in found:
        history.note_change(connection, change.acs_user_id, change.type, dict(change.detail), source=change.source)
        if change.type in tools.table:
            tools.queues.ask_reactions(change.type, change.acs_user_id, detail=change.detail, source=change.source)
