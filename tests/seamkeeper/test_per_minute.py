"""How much came and failed, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, insert

from seamkeeper import attempts, database, journal

SINCE = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def test_events_are_counted_in_the_minute_of_their_receipt(engine: Engine) -> None:
    """The first moment of a minute belongs to it; what came before or after the hour is in none."""
    seconds = (-0.001, 0, 59.999, 60, 150.5, 3599.999, 3600)
    rows = [
        {"event_id": f"e{at}", "event_type": "t", "status": "done", "source": "webhook", "body": "{}",
         "received_at": SINCE + timedelta(seconds=at)}
        for at in seconds
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(database.events), rows)

    with engine.connect() as connection:
        counts = journal.received_per_minute(connection, SINCE)

    assert len(counts) == 60
    assert {minute: count for minute, count in enumerate(counts) if count} == {0: 2, 1: 1, 2: 1, 59: 1}


def test_tries_that_failed_are_counted_when_they_began(engine: Engine) -> None:
    """Those that will be made again, and those that are dead; a postponed one failed at nothing."""
    outcomes = ("ok", "retry", "dead", "postponed", "running", "retry")
    rows = [
        {"job_id": "j", "job": "handle_event", "outcome": outcome, "started_at": SINCE + timedelta(minutes=minute)}
        for minute, outcome in enumerate(outcomes)
    ]
    with engine.begin() as connection:
        connection.execute(insert(database.attempts), rows)

    with engine.connect() as connection:
        counts = attempts.failed_per_minute(connection, SINCE)
        tries = attempts.count_since(connection, SINCE)

    assert {minute: count for minute, count in enumerate(counts) if count} == {1: 1, 2: 1, 5: 1}
    assert tries == {"ok": 1, "retry": 2, "dead": 1, "postponed": 1, "running": 1}


def test_an_hour_without_anything_is_sixty_times_nothing(engine: Engine) -> None:
    """A first run has a line, too."""
    with engine.connect() as connection:
        assert journal.received_per_minute(connection, SINCE) == [0] * 60
        assert attempts.failed_per_minute(connection, SINCE) == [0] * 60
        assert attempts.count_since(connection, SINCE) == {}
