"""Reactions to what happens to an access system user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper import database, issues, logs, mirror, orders
from seamkeeper.events import Event
from seamkeeper.queues import RESYNC
from workers import notices

if TYPE_CHECKING:
    from workers.changes import Change
    from workers.tools import Tools

_LIMIT = "salto_ks_subscription_limit_exceeded"


def look(event: Event, tools: Tools) -> None:
    """Ask for a reconcile of the user the event names."""
    acs_user_id = event.subject("acs_user_id")
    if acs_user_id:
        tools.queues.ask_reconcile(acs_user_id, why=f"{event.event_type} {event.event_id}", source="webhook")


def offer_slot(change: Change, tools: Tools) -> None:
    """Somebody of the access system is gone, or has no subscription any more, or got one: one user who waits for a
    subscription is tried, the longest waiting first. Who gets it leads to the next, who does not ends it: no storm."""
    code = change.detail.get("code")
    if change.type != "acs_user.vanished" and code not in (_LIMIT, "salto_ks_user_not_subscribed"):
        return
    with database.reading(tools.engine) as connection:
        system = mirror.system_of(connection, change.acs_user_id)
        waiting = issues.users_with(connection, _LIMIT, system, limit=1) if system else []
    for acs_user_id in waiting:
        why = f"a subscription may be free: {change.type} {change.acs_user_id}"
        tools.queues.ask_reconcile(acs_user_id, why=why, source=change.source, queue=RESYNC, mode=orders.SLOT)


def tell(change: Change, _tools: Tools) -> None:
    """A line in the log, for whoever watches it."""
    logs.get().info(change.type, acs_user_id=change.acs_user_id, source=change.source, **change.detail)


def tell_people(change: Change, tools: Tools) -> None:
    """A notice, if SEAMKEEPER_NOTIFY names somebody: one for all users of the access system with this code."""
    with database.reading(tools.engine) as connection:
        user = mirror.find_user(connection, change.acs_user_id) or {}
    code, system = str(change.detail.get("code")), user.get("acs_system_id")
    notices.issue_raised(tools, kind="error", code=code, acs_system_id=system, acs_user_id=change.acs_user_id)
