"""Reactions to credentials: their events name no user, but Seam knows whose they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper.events import Event
from workers.reactions.acs_system import ask_resync
from workers.seam_api import NotFound

if TYPE_CHECKING:
    from workers.tools import Tools


def look_at_holder(event: Event, tools: Tools) -> None:
    """Ask for a reconcile of the credential's holder, if it has one; when Seam does not know it (gone already, or the
    event is ahead of the API), look through its access system."""
    acs_credential_id = event.subject("acs_credential_id")
    try:
        holder = tools.seam.holder_of(acs_credential_id) if acs_credential_id else None
    except NotFound:
        ask_resync(event, tools)
        return
    if holder:
        tools.queues.ask_reconcile(holder, why=f"{event.event_type} {event.event_id}", source="webhook")


def look_at_system(event: Event, tools: Tools) -> None:
    """The credential is gone: look through its access system."""
    ask_resync(event, tools)
