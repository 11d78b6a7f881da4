"""What the operator wants of each user, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select

from seamkeeper import clock
from seamkeeper.database import JSON_NULL, acs_users, desired_users, upsert
from seamkeeper.users import MANAGED_FIELDS


def desired_of(connection: Connection, acs_user_id: str) -> dict[str, Any]:
    """Managed field -> wanted value; a field without a value is left out."""
    query = select(desired_users).where(desired_users.c.acs_user_id == acs_user_id)
    row = connection.execute(query).mappings().one_or_none()
    return {} if row is None else _desired(row)


def set_desired(connection: Connection, acs_user_id: str, values: Mapping[str, Any], *, by: str) -> None:
    """Adds to what is wanted of a user; other fields stay. `None` for access_schedule means "no schedule"."""
    row = {name: JSON_NULL if value is None else value for name, value in values.items()}
    row |= {"acs_user_id": acs_user_id, "updated_at": clock.now(), "updated_by": by}
    upsert(connection, desired_users, row, made={})


def forget_desired(connection: Connection, acs_user_id: str) -> bool:
    """Stops managing a user; False when nothing was desired."""
    result = connection.execute(delete(desired_users).where(desired_users.c.acs_user_id == acs_user_id))
    return result.rowcount > 0


def ids_to_adopt(connection: Connection) -> list[str]:
    """Users that are there and read: those whose observed state can become the desired one."""
    query = select(acs_users.c.acs_user_id).where(acs_users.c.deleted_at.is_(None), acs_users.c.observed.is_not(None))
    return list(connection.execute(query).scalars())


def _desired(row: RowMapping) -> dict[str, Any]:
    return {name: None if row[name] is JSON_NULL else row[name] for name in MANAGED_FIELDS if row[name] is not None}
