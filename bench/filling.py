"""How a database gets a crowd in minutes: rows in bulk, past SQLAlchemy, and the indexes afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, text

from bench.crowd import Crowd, Row
from seamkeeper import database, migrations

_TRIED = 250_000  # of the events, the newest have their attempts


def fill(engine: Engine, crowd: Crowd) -> None:
    """Migrates, writes everything, and lets the planner look at it."""
    migrations.upgrade(engine)
    tables = database.metadata.tables.values()
    with engine.begin() as connection:
        for index in (index for table in tables for index in table.indexes):
            index.drop(connection)
        _put(connection, database.acs_users, crowd.acs_users())
        _put(connection, database.desired_users, crowd.desired_users())
        _put(connection, database.issues, crowd.issues(), key="issue_id")
        _put(connection, database.changes, crowd.changes(), key="change_id")
        _put(connection, database.actions, crowd.actions(), key="action_id")
        tried: list[Row] = []
        _put(connection, database.events, _remembered(crowd, tried))
        _put(connection, database.attempts, crowd.attempts(iter(tried)), key="attempt_id")
        _put(connection, database.dead_letters, crowd.dead_letters(), key="dead_id")
        _put(connection, database.audit, crowd.audit(), key="audit_id")
        for index in (index for table in tables for index in table.indexes):
            index.create(connection)
    _look_at(engine)


def _remembered(crowd: Crowd, tried: list[Row]) -> Iterator[Row]:
    """The events, and without their bodies those whose attempts are written, too."""
    for number, row in enumerate(crowd.all_events()):
        if number >= crowd.events - _TRIED or row["status"] == "dead":
            tried.append({name: row[name] for name in ("event_id", "acs_user_id", "status", "tries", "received_at")})
        yield row


def _put(connection: Connection, table: Table, rows: Iterator[Row], *, key: str | None = None) -> None:
    """`key` is a number that the database would count itself."""
    first = next(rows, None)
    if first is None:
        return
    names = [*first, key] if key else [*first]
    numbered = enumerate(itertools.chain([first], rows), start=1)
    lines = ([*row.values(), number] if key else [*row.values()] for number, row in numbered)
    raw: Any = connection.connection.cursor()
    columns = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        raw.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({marks})", map(_for_sqlite, lines))  # noqa: S608
        return
    with raw.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy:
        for line in lines:
            copy.write_row(line)
    if key:
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key}'), max({key})) FROM {table.name}"))  # noqa: E501, S608  # fmt: skip


def _for_sqlite(line: Sequence[Any]) -> list[Any]:
    """As SQLAlchemy keeps a time there."""
    return [
        value.replace(tzinfo=None).isoformat(" ", "microseconds") if isinstance(value, datetime) else value
        for value in line
    ]


def _look_at(engine: Engine) -> None:
    """What autovacuum does in a running PostgreSQL. SQLite gets nothing: no deployment of ours asks it to analyze."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
