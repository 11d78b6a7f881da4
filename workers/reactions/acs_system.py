"""Reactions to access systems going and coming back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper import systems
from seamkeeper.events import Event
from seamkeeper.queues import RESYNC_SYSTEM

if TYPE_CHECKING:
    from workers.tools import Tools


def suspend_repairs(event: Event, tools: Tools) -> None:
    """No writes to this system's users until it is back; the errors in the event are kept for people."""
    _set(event, tools, is_connected=False)


def resume(event: Event, tools: Tools) -> None:
    """It can be written to again; what happened meanwhile is found by a resync."""
    _set(event, tools, is_connected=True)
    acs_system_id = event.subject("acs_system_id")
    if acs_system_id:
        tools.circuits.close(acs_system_id, why=f"{event.event_type} {event.event_id}")
    ask_resync(event, tools)


def ask_resync(event: Event, tools: Tools) -> None:
    """Ask for a resync of the access system the event names."""
    acs_system_id = event.subject("acs_system_id")
    if acs_system_id:
        tools.queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why=f"{event.event_type} {event.event_id}")


def _set(event: Event, tools: Tools, *, is_connected: bool) -> None:
    acs_system_id = event.subject("acs_system_id")
    if not acs_system_id:
        return
    detail = {name: event.payload[name] for name in event.payload if name.endswith(("_errors", "_warnings"))}
    with tools.engine.begin() as connection:
        systems.set_system(
            connection,
            acs_system_id,
            is_connected=is_connected,
            workspace_id=event.workspace_id,
            connected_account_id=event.subject("connected_account_id"),
            detail=detail,
            at=event.occurred_at,
        )
