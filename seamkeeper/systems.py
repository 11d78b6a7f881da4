"""Access systems: can their users be written to now?"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from seamkeeper import clock
from seamkeeper.database import acs_systems, acs_users, upsert


def set_system(
    connection: Connection, acs_system_id: str, *, is_connected: bool, workspace_id: str | None = None,
    connected_account_id: str | None = None, detail: Any = None,
) -> None:  # fmt: skip
    """Whether an access system can be written to now; while it cannot, repairs of its users are suspended."""
    row = {"acs_system_id": acs_system_id, "is_connected": is_connected, "changed_at": clock.now(), "detail": detail}
    known = {"workspace_id": workspace_id, "connected_account_id": connected_account_id}
    row |= {name: value for name, value in known.items() if value is not None}
    upsert(connection, acs_systems, row, made={})


def set_account(connection: Connection, connected_account_id: str, *, is_connected: bool, detail: Any = None) -> None:
    """The same for all access systems of a connected account that we know of, from their users or from events."""
    belongs = acs_users.c.connected_account_id == connected_account_id
    known = select(acs_users.c.acs_system_id).where(belongs).distinct()
    for (acs_system_id,) in connection.execute(known).all():
        set_system(
            connection,
            acs_system_id,
            is_connected=is_connected,
            connected_account_id=connected_account_id,
            detail=detail,
        )
    values = {"is_connected": is_connected, "detail": detail, "changed_at": clock.now()}
    of_account = acs_systems.c.connected_account_id == connected_account_id
    connection.execute(update(acs_systems).where(of_account).values(values))


def is_system_connected(connection: Connection, acs_system_id: str) -> bool:
    """False only when we were told that it is not."""
    query = select(acs_systems.c.is_connected).where(acs_systems.c.acs_system_id == acs_system_id)
    return connection.execute(query).scalar_one_or_none() is not False
