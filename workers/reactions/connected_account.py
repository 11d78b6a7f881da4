"""Reactions to connected accounts going and coming back: all their access systems with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper import database, systems
from seamkeeper.events import Event
from seamkeeper.queues import RESYNC_ACCOUNT

if TYPE_CHECKING:
    from workers.tools import Tools


def suspend_repairs(event: Event, tools: Tools) -> None:
    """No writes to the users of this account's systems until it is back."""
    _set(event, tools, is_connected=False)


def resume(event: Event, tools: Tools) -> None:
    """They can be written to again; the event names no access system, Seam lists them (in the resync's job)."""
    connected_account_id = event.subject("connected_account_id")
    _set(event, tools, is_connected=True)
    if connected_account_id:
        with database.reading(tools.engine) as connection:
            found = systems.of_account(connection, connected_account_id)
        for acs_system_id in found:
            tools.circuits.close(acs_system_id, why=f"{event.event_type} {event.event_id}")
        tools.queues.ask_resync(RESYNC_ACCOUNT, connected_account_id, why=f"{event.event_type} {event.event_id}")


def _set(event: Event, tools: Tools, *, is_connected: bool) -> None:
    connected_account_id = event.subject("connected_account_id")
    if connected_account_id:
        with tools.engine.begin() as connection:
            systems.set_account(connection, connected_account_id, is_connected=is_connected, at=event.occurred_at)
