"""Whether an access system can be written to: what happened last counts, whoever writes it last."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from seamkeeper import database, systems

THEN = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def test_of_two_first_writers_at_once_the_later_happening_stays(engine: Engine) -> None:
    """Two workers, a system nobody knows yet: there is no row to lock, and the older event may be written last."""
    is_open, was_written = threading.Event(), threading.Event()

    def write_older() -> None:
        with engine.begin() as connection:
            is_open.wait(10)
            systems.set_system(connection, "s1", is_connected=False, at=THEN)
        was_written.set()

    older = threading.Thread(target=write_older)
    with engine.begin() as connection:
        systems.set_system(connection, "s1", is_connected=True, at=THEN + timedelta(seconds=1))
        older.start()
        is_open.set()
        was_written.wait(0.5)  # on PostgreSQL it looked, saw no row, and waits for this one
    older.join()

    with database.reading(engine) as connection:
        assert systems.is_connected(connection, "s1")
