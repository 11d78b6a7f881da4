"""Access systems: can their users be written to now?

Events come late and out of order: what is kept is what happened last, by `occurred_at`, not what arrived last.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, union

from seamkeeper.database import acs_systems, acs_users, upsert


def set_system(
    connection: Connection, acs_system_id: str, *, is_connected: bool, at: datetime, workspace_id: str | None = None,
    connected_account_id: str | None = None, detail: Any = None,
) -> None:  # fmt: skip
    """Whether an access system can be written to since `at`; while it cannot, repairs of its users are suspended."""
    row = {"acs_system_id": acs_system_id, "is_connected": is_connected, "changed_at": at, "detail": detail}
    known = {"workspace_id": workspace_id, "connected_account_id": connected_account_id}
    row |= {name: value for name, value in known.items() if value is not None}
    upsert(connection, acs_systems, row, made={}, by="changed_at")


def set_account(connection: Connection, connected_account_id: str, *, is_connected: bool, at: datetime) -> None:
    """The same for all access systems of a connected account that we know of."""
    for acs_system_id in of_account(connection, connected_account_id):
        set_system(
            connection,
            acs_system_id,
            is_connected=is_connected,
            at=at,
            connected_account_id=connected_account_id,
        )


def of_account(connection: Connection, connected_account_id: str) -> list[str]:
    """The access systems of a connected account that we know of, from their users or from events."""
    of_users = select(acs_users.c.acs_system_id).where(acs_users.c.connected_account_id == connected_account_id)
    of_events = select(acs_systems.c.acs_system_id).where(acs_systems.c.connected_account_id == connected_account_id)
    return [name for name in connection.execute(union(of_users, of_events)).scalars() if name is not None]


def disconnected(connection: Connection) -> list[str]:
    """Those we were told that they are not connected."""
    query = select(acs_systems.c.acs_system_id).where(acs_systems.c.is_connected.is_(False))
    return list(connection.execute(query.order_by(acs_systems.c.acs_system_id)).scalars())


def is_connected(connection: Connection, acs_system_id: str | None) -> bool:
    """False only when we were told that it is not."""
    query = select(acs_systems.c.is_connected).where(acs_systems.c.acs_system_id == acs_system_id)
    return connection.execute(query).scalar_one_or_none() is not False
