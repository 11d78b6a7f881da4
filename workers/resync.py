"""Resync: look through a whole access system and ask for a reconcile of every user who is not as we hold them.

A list page never writes the mirror: it only says where to look. So it cannot resurrect anybody, nor bury anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seamkeeper import database, issues, logs, mirror, recreations
from seamkeeper.queues import RESYNC, RESYNC_SYSTEM
from workers import notices
from workers.tools import Tools

_MOST_MISSING = 0.05  # of a system's users
_FEW = 10
_TOO_MANY = "too_many_missing"
_VOLATILE = {"last_successful_sync_at"}


def resync_system(tools: Tools, acs_system_id: str, *, why: str) -> int:
    """Asks for the users that are new, changed or missing from the complete list, and those whose new user is under
    way; gives their number."""
    with database.reading(tools.engine) as connection:
        held = mirror.observed_of_system(connection, acs_system_id)
        begun = recreations.under_way(connection, acs_system_id)
    listed: set[str] = set()
    asked: list[str] = []
    for page in tools.seam.user_pages(acs_system_id):
        for raw in page:
            acs_user_id = str(raw["acs_user_id"])
            listed.add(acs_user_id)
            if acs_user_id not in held or _differs(raw, held[acs_user_id]):
                asked.append(acs_user_id)
    asked += _missing(tools, acs_system_id, held, listed)
    asked += begun  # their later looks may have been lost with Redis
    for acs_user_id in asked:
        tools.queues.ask_reconcile(acs_user_id, why=why, source="resync", queue=RESYNC)
    logs.get().info("resync.done", acs_system_id=acs_system_id, listed=len(listed), asked=len(asked))
    return len(asked)


def resync_account(tools: Tools, connected_account_id: str, *, why: str) -> int:
    """Asks for a resync of each access system of a connected account; gives their number."""
    return _ask_for_each(tools, tools.seam.systems(connected_account_id=connected_account_id), why)


def resync_all(tools: Tools, *, why: str) -> int:
    """Asks for a resync of each access system that Seam shows us; gives their number."""
    return _ask_for_each(tools, tools.seam.systems(), why)


def _ask_for_each(tools: Tools, found: list[Mapping[str, Any]], why: str) -> int:
    for system in found:
        tools.queues.ask_resync(RESYNC_SYSTEM, str(system["acs_system_id"]), why=why)
    return len(found)


def _missing(tools: Tools, acs_system_id: str, held: Mapping[str, Any], listed: set[str]) -> list[str]:
    """Users the complete list lacks. Many at once are a fault of the list until shown otherwise: then nobody is asked
    for, and nobody is marked; a person looks."""
    missing = sorted(set(held) - listed)
    is_fault = len(missing) > max(_FEW, _MOST_MISSING * len(held))
    with tools.engine.begin() as connection:
        if not is_fault:
            if not recreations.many_wait(connection, acs_system_id):
                issues.clear_finding(connection, _TOO_MANY, acs_system_id=acs_system_id)
            return missing
        message = f"{len(missing)} of {len(held)} users are missing: a fault of Seam's list, or a great deletion"
        detail = {"missing": len(missing), "held": len(held)}
        if issues.raise_finding(connection, _TOO_MANY, acs_system_id=acs_system_id, message=message, detail=detail):
            notices.issue_raised(
                tools, kind="finding", code=_TOO_MANY, acs_system_id=acs_system_id, connection=connection
            )  # fmt: skip
    logs.get().error("resync.too_many_missing", acs_system_id=acs_system_id, **detail)
    return []


def _differs(raw: Mapping[str, Any], held: Mapping[str, Any] | None) -> bool:
    """A user of whom something is desired and who is not in sync is in `held` as None: always worth a look."""
    if held is None:
        return True
    return any(raw.get(name) != held.get(name) for name in (set(raw) | set(held)) - _VOLATILE)
