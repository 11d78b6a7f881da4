"""The tables: what the migrations make is what the code uses, and strange values survive."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from seamkeeper import database, migrations, mirror
from seamkeeper.mirror import Verdict

READ_AT = datetime(2026, 11, 22, 8, 30, 0, 123456, tzinfo=UTC)


def test_migrations_make_the_tables_of_the_code(engine: Engine) -> None:
    """After `migrate` nothing is left for Alembic to find."""
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), database.metadata)

    assert differences == []
    assert migrations.current(engine) == migrations.head()


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    """`seamkeeper migrate` may run at every start."""
    assert migrations.upgrade(engine) == migrations.upgrade(engine)


@pytest.mark.parametrize(
    "name",
    ["Zoë 张", "a\x00b", "\ud800 alone", "<script>alert(1)</script>", "x" * 5000],
    ids=["unicode", "nul", "lone-surrogate", "markup", "long"],
)
def test_names_from_a_provider_are_kept_whole(engine: Engine, name: str) -> None:
    """PostgreSQL's text holds no NUL and no lone surrogate; the raw JSON keeps both all the same."""
    raw = {"acs_user_id": "u1", "full_name": name}

    with engine.begin() as connection:
        before = mirror.standing(connection, "u1")
        mirror.keep(connection, before, raw, Verdict("unknown", {}), health="ok", read_at=READ_AT)
    with database.reading(engine) as connection:
        kept = mirror.find_user(connection, "u1")

    assert kept is not None
    assert kept["observed"] == raw
    assert kept["read_at"] == "2026-11-22T08:30:00.123456Z"
