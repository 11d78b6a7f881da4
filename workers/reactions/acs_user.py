"""Reactions to what happens to an access system user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper import logs
from seamkeeper.events import Event

if TYPE_CHECKING:
    from workers.changes import Change
    from workers.tools import Tools


def look(event: Event, tools: Tools) -> None:
    """Ask for a reconcile of the user the event names."""
    acs_user_id = event.subject("acs_user_id")
    if acs_user_id:
        tools.queues.ask_reconcile(acs_user_id, why=f"{event.event_type} {event.event_id}", source="webhook")


def tell(change: Change, _tools: Tools) -> None:
    """A line in the log, for whoever watches it."""
    logs.get().info(change.type, acs_user_id=change.acs_user_id, source=change.source, **change.detail)
