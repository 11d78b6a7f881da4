"""Reconcile one user: the clock, the read, the mirror, what changed, and the repair.

Safe to run at any time, any number of times. The read happens inside the user's turn (workers/jobs.py takes it), and
the clock is read before it: an observation is as old as its request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from seamkeeper import clock, history, logs, mirror, systems, users
from seamkeeper.desired import desired_of
from seamkeeper.errors import Permanent
from seamkeeper.journal import is_deletion_announced
from seamkeeper.mirror import Verdict
from seamkeeper.users import Difference
from workers import repair
from workers.changes import Change, find_changes, vanished
from workers.tools import Tools

_MOST_UPDATES = 3  # so often in an hour a value is sent that Seam accepts, and that is not there at a later look
_NOT_KEPT = "Seam accepted the update several times, and the value did not stay; the next event or sync tries again"
_UNKNOWN_LOOKS = 2  # how often a user is looked for who was announced, never seen and is not there


@dataclass(frozen=True, slots=True)
class Ask:
    """Why this run: in words, by which way it came (`webhook`, `resync`, …), and the how-manieth later look it is (0:
    asked for by an event, a resync or a person)."""

    acs_user_id: str
    why: str
    source: str
    step: int = 0


def reconcile(tools: Tools, ask: Ask) -> None:
    """One run, inside the user's turn. Raises Temporary and Permanent, as Seam's API and the repair do."""
    read_at = clock.now()
    raw = tools.seam.get_user(ask.acs_user_id)
    if raw is None:
        _not_there(tools, ask, read_at)
    else:
        _there(tools, ask, raw, read_at)


def judge(
    raw: Mapping[str, Any], desired: Mapping[str, Any], *, is_leaving: bool, is_connected: bool, policy: str
) -> tuple[Verdict, dict[str, Difference]]:
    """How an observation stands, and the differences to repair now (none while one of them must wait)."""
    if not desired or policy == "off":
        return Verdict("unknown", {}, "nothing is desired of this user" if not desired else "comparing is off"), {}
    found = users.drift(raw, desired)
    shown = {name: difference.as_json() for name, difference in found.items()}
    open_fields = {name: each for name, each in found.items() if not users.is_underway(raw, name, each.desired)}
    if not open_fields:
        return Verdict("applying" if found or users.pending(raw) else "in_sync", shown), {}
    reason = users.why_not_repairable(raw)
    if reason is None and is_leaving:
        reason = "the deletion of the user was announced"
    if reason is None and not is_connected:
        reason = "the access system is disconnected; repairs are suspended until it is back"
    if reason is None and policy == "plan":
        reason = "SEAMKEEPER_REPAIR=plan: shown, not written"
    return Verdict("drifted", shown, reason), {} if reason else open_fields


def _there(tools: Tools, ask: Ask, raw: Mapping[str, Any], read_at: datetime) -> None:
    with tools.engine.begin() as connection:
        before = mirror.standing(connection, ask.acs_user_id)
        if not mirror.is_newer(before, read_at):
            _is_older(tools, ask)
            return
        desired = desired_of(connection, ask.acs_user_id)
        is_connected = systems.is_connected(connection, raw.get("acs_system_id"))
        is_leaving = is_deletion_announced(connection, ask.acs_user_id)
        verdict, to_repair = judge(
            raw, desired, is_leaving=is_leaving, is_connected=is_connected, policy=tools.settings.repair
        )
        if to_repair and ask.step:
            kept = _not_sent_in_vain(connection, ask.acs_user_id, to_repair)
            verdict, to_repair = (verdict if kept else replace(verdict, reason=_NOT_KEPT)), kept
        found = find_changes(before, raw, verdict, source=ask.source)
        mirror.keep(connection, before, raw, verdict, health=users.health(raw), read_at=read_at)
        history.keep_issues(connection, ask.acs_user_id, raw)
        _note(tools, connection, found)
    refused = repair.repair(tools, raw, to_repair, why=ask.why) if to_repair else {}
    is_sent = len(refused) < len(to_repair)
    if is_sent or verdict.sync == "applying" or is_leaving or users.is_deleting(raw):
        look_again(tools, ask)
    if refused and not ask.step:  # the looks that follow would only be dead of the same
        raise Permanent(f"{ask.acs_user_id}: {repair.held_back(refused)}")


def _not_there(tools: Tools, ask: Ask, read_at: datetime) -> None:
    """Seam says 404: a tombstone. Only who was announced, never seen and not deleted is looked for again first: the
    event can be ahead of the API."""
    with tools.engine.begin() as connection:
        before = mirror.standing(connection, ask.acs_user_id)
        if not mirror.is_newer(before, read_at):
            _is_older(tools, ask)
            return
        is_early = before.read_at is None and not is_deletion_announced(connection, ask.acs_user_id)
        if not is_early or ask.step >= _UNKNOWN_LOOKS:
            mirror.bury(connection, ask.acs_user_id, read_at=read_at, reason="Seam answered 404")
            history.keep_issues(connection, ask.acs_user_id, None)
            _note(tools, connection, vanished(before, source=ask.source))
            return
    look_again(tools, ask)


def _is_older(tools: Tools, ask: Ask) -> None:
    """Within a turn only clocks that disagree lead here: what was read is not kept, and must not be the last look."""
    logs.get().warning("observation.older", acs_user_id=ask.acs_user_id)
    look_again(tools, ask)


def _not_sent_in_vain(
    connection: Connection, acs_user_id: str, differences: Mapping[str, Difference]
) -> dict[str, Difference]:
    """Without the fields whose desired value Seam accepted several times lately, and which differ all the same."""
    sent = history.times_sent(connection, acs_user_id, since=clock.now() - timedelta(hours=1))
    return {
        name: each
        for name, each in differences.items()
        if sent[name, json.dumps(each.desired, sort_keys=True)] < _MOST_UPDATES
    }


def look_again(tools: Tools, ask: Ask) -> None:
    """Read the user once more, later, and later still: 5 s, 15 s, 60 s, 5 min, 30 min; then events and resyncs do."""
    delays = tools.settings.reread_delays
    if ask.step < len(delays):
        delay, step = timedelta(seconds=delays[ask.step]), ask.step + 1
        tools.queues.ask_reconcile(ask.acs_user_id, why=ask.why, source=ask.source, delay=delay, step=step)


def _note(tools: Tools, connection: Connection, found: list[Change]) -> None:
    """The history's lines, and their reactions as jobs of their own. These are asked for before the mirror is
    committed, for after that no look finds the change again: they may run twice, and are never forgotten."""
    for change in found:
        history.note_change(connection, change.acs_user_id, change.type, dict(change.detail), source=change.source)
        if change.type in tools.table:
            tools.queues.ask_reactions(change.type, change.acs_user_id, detail=change.detail, source=change.source)
