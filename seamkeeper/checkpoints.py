"""How far something got: one JSON value per name, kept over restarts of everything."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from seamkeeper import clock
from seamkeeper.database import checkpoints, upsert


def read(connection: Connection, name: str, *, to_write: bool = False) -> Any:
    """The value, or None when nothing was written yet. `to_write`: nobody else changes it until this transaction ends
    (SQLite lets one write anyway)."""
    query = select(checkpoints.c.value).where(checkpoints.c.name == name)
    return connection.execute(query.with_for_update() if to_write else query).scalar_one_or_none()


def write(connection: Connection, name: str, value: Any) -> None:
    """Over what stands there."""
    upsert(connection, checkpoints, {"name": name, "value": value, "updated_at": clock.now()}, made={})


def read_all(connection: Connection, beginning: str) -> dict[str, Any]:
    """What follows the beginning of each name that begins so -> its value."""
    is_one = checkpoints.c.name.startswith(beginning, autoescape=True)
    rows = connection.execute(select(checkpoints.c.name, checkpoints.c.value).where(is_one))
    return {name.removeprefix(beginning): value for name, value in rows}
