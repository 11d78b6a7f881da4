"""Reactions to what happens to an access system user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper import database, logs, mirror
from seamkeeper.events import Event
from workers import notices

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


def tell_people(change: Change, tools: Tools) -> None:
    """A notice, if SEAMKEEPER_NOTIFY names somebody: one for all users of the access system with this code."""
    with database.reading(tools.engine) as connection:
        user = mirror.find_user(connection, change.acs_user_id) or {}
    code, system = str(change.detail.get("code")), user.get("acs_system_id")
    notices.issue_raised(tools, kind="error", code=code, acs_system_id=system, acs_user_id=change.acs_user_id)
