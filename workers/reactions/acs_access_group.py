"""Reactions to access groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seamkeeper.events import Event
from workers.reactions.acs_system import ask_resync

if TYPE_CHECKING:
    from workers.tools import Tools


def look_at_system(event: Event, tools: Tools) -> None:
    """The group's members changed and no event names them: look through their access system."""
    ask_resync(event, tools)
