"""All that a reaction of your own needs to import, and all that we keep stable for it (docs/reactions.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seamkeeper import clock, database, desired, logs, mirror, users
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.events import Event
from workers.changes import Change

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seamkeeper.queues import Queues
    from workers.tools import Tools

__all__ = ["Change", "Event", "Permanent", "Temporary", "Toolbox"]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Given to your function as its second argument; every part may be used from many threads at once.

    `engine` opens connections to our database (docs/database.md says which tables are a contract), `log` writes lines
    that carry the function's name. Keep names and phone numbers out of it.
    """

    engine: Engine
    log: Any
    _name: str
    _queues: Queues

    def user(self, acs_user_id: str) -> dict[str, Any] | None:
        """The user as `seamkeeper users show --json` gives it (docs/command-line.md); None when we know of none."""
        with database.reading(self.engine) as connection:
            return mirror.find_user(connection, acs_user_id)

    def sync(self, acs_user_id: str) -> None:
        """Asks for the user to be read at Seam now, and repaired where policy allows. Many asks are one run."""
        self._queues.ask_reconcile(acs_user_id, why=f"asked by {self._name}", source="reaction")

    def desire(self, acs_user_id: str, values: Mapping[str, Any]) -> None:
        """What shall be of the user from now on, then as `sync`. Fields that are not named stay as they are;
        `access_schedule` of None is "without a schedule". Raises Permanent for what Seam would refuse."""
        if wrong := users.mistakes(dict(values), at=clock.now()):
            raise Permanent("; ".join(f"{name} {reason}" for name, reason in wrong.items()))
        with self.engine.begin() as connection:
            desired.set_desired(connection, acs_user_id, values, by=self._name)
        self.sync(acs_user_id)


def toolbox_for(name: str, tools: Tools) -> Toolbox:
    """The toolbox of one function."""
    return Toolbox(engine=tools.engine, log=logs.get().bind(reaction=name), _name=name, _queues=tools.queues)
