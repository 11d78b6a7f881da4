"""One page of a list held against the mirror: who is new is written at once, who differs is asked for.

A page says where to look. It overwrites nothing: only who has no row at all, is healthy and of whom nothing is desired
is written from it, stamped with the time before the request; whatever is there by then stays. So it can neither
resurrect anybody nor bury anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from seamkeeper import clock, database, history, issues, journal, logs, mirror
from seamkeeper.mirror import Held
from seamkeeper.policies import Policy, policies_of
from workers.plan import Situation, plan_of
from workers.tools import Tools

SOURCE = "resync"
_VOLATILE = {"last_successful_sync_at"}
_APPEARED = "acs_user.appeared"
_NO_POLICY = Policy("apply", "never")  # decides nothing where nothing is desired


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whom the page met, how many of them were written at once, and who must be looked at."""

    met: list[str]
    written: int
    to_ask: list[str]


def look_through(
    tools: Tools, acs_system_id: str, raws: Sequence[Mapping[str, Any]], *, read_at: datetime, is_full: bool
) -> Outcome:
    """Compares a page that was asked for at `read_at`, and writes who is new. `is_full`: everybody who is managed or
    has an open issue is to be looked at, too."""
    listed = {str(raw["acs_user_id"]): raw for raw in raws}
    names = list(listed)
    with database.reading(tools.engine) as connection:
        held = mirror.held_of(connection, names, acs_system_id)
        to_ask = {name for name in held if _differs(listed[name], held[name])}
        to_ask |= _unsettled(tools, connection, acs_system_id, held)
        if is_full:
            to_ask |= {name for name in held if held[name].is_managed}
            to_ask |= issues.users_with_any(connection, names)
        unheld = [name for name in names if name not in held]
        new = _plain(connection, acs_system_id, {name: listed[name] for name in unheld})
    written = _write(tools, new, read_at)
    to_ask |= {name for name in unheld if name not in written}
    return Outcome(names, len(written), [name for name in names if name in to_ask])


def _differs(raw: Mapping[str, Any], held: Held) -> bool:
    if held.observed is None or raw == held.observed:
        return held.observed is None
    return any(raw.get(name) != held.observed.get(name) for name in (set(raw) | set(held.observed)) - _VOLATILE)


def _unsettled(tools: Tools, connection: Connection, acs_system_id: str, held: Mapping[str, Held]) -> set[str]:
    """Who needs a look; where the policy is `off`, nobody whom it already left uncompared."""
    wanting, told = [name for name, each in held.items() if each.needs_look], tools.settings
    uncompared = [name for name in wanting if held[name].is_managed and held[name].sync == "unknown"]
    policies = policies_of(
        connection, uncompared, acs_system_id, repair=told.repair, recreate=told.recreate, at=clock.now()
    ) if uncompared else {}  # fmt: skip
    return {name for name in wanting if name not in policies or policies[name].repair != "off"}


def _plain(
    connection: Connection, acs_system_id: str, unheld: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Users about whom a look would find nothing but that they are there."""
    plain = {name: raw for name, raw in unheld.items() if raw.get("acs_system_id") == acs_system_id and _is_quiet(raw)}
    if not plain:
        return []
    known = mirror.known_of(connection, list(plain)) | journal.with_announced_deletion(connection, list(plain))
    return [raw for name, raw in plain.items() if name not in known]


def _is_quiet(raw: Mapping[str, Any]) -> bool:
    is_readable = isinstance(raw.get("pending_mutations", []), list)
    return is_readable and not any(raw.get(name) for name in ("errors", "warnings", "pending_mutations"))


def _write(tools: Tools, new: Sequence[Mapping[str, Any]], read_at: datetime) -> set[str]:
    if not new:
        return set()
    try:
        return _keep_new(tools, new, read_at)
    except DataError:  # one of them cannot be kept as Seam says it: each is looked at, so that only that one fails
        logs.get().warning("resync.page_refused", acs_system_id=new[0].get("acs_system_id"))
        return set()


def _keep_new(tools: Tools, new: Sequence[Mapping[str, Any]], read_at: datetime) -> set[str]:
    """As a reconcile would: the row, the line of the history, and the reactions, asked for before the commit."""
    verdict = plan_of(new[0], Situation(desired={}, policy=_NO_POLICY, at=read_at)).verdict
    with tools.engine.begin() as connection:
        written = mirror.keep_new(connection, new, verdict, read_at=read_at)
        history.note_changes(connection, sorted(written), _APPEARED, {}, source=SOURCE)
        if _APPEARED in tools.table:
            for acs_user_id in sorted(written):
                tools.queues.ask_reactions(_APPEARED, acs_user_id, detail={}, source=SOURCE)
    return written
