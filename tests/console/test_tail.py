"""The live tail of `seamkeeper dev`: each thing once, nothing left out, nothing that drives the terminal."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from console.tail import Tail, adopt_newcomers
from seamkeeper import clock, database, desired
from seamkeeper.database import events
from tests.console.web.conftest import keep_event, keep_user

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def settle_at(engine: Engine, event_id: str, at: datetime, **more: str) -> None:
    """An event that was settled then."""
    keep_event(engine, event_id, **more)
    with engine.begin() as connection:
        connection.execute(update(events).where(events.c.event_id == event_id).values(settled_at=at))


def texts(tail: Tail) -> list[str]:
    """What is new, without the colours."""
    return [text for text, _ in tail.lines()]


def test_each_event_is_told_once(engine: Engine) -> None:
    """What was there before is not told; an event settled again is."""
    keep_event(engine, "old")
    tail = Tail(engine)
    keep_event(engine, "e1", event_type="acs_user.deleted", reason="gone")

    first, second = texts(tail), texts(tail)
    settle_at(engine, "e1", clock.now(), event_type="acs_user.deleted")
    third = texts(tail)

    assert [("acs_user.deleted" in text, "gone" in text) for text in first] == [(True, True)]
    assert second == []
    assert len(third) == 1


def test_an_event_that_was_committed_late(engine: Engine) -> None:
    """Of two workers the one with the earlier time may commit later: it is told all the same."""
    tail = Tail(engine)
    at = clock.now()
    settle_at(engine, "e1", at + timedelta(seconds=2))
    first = texts(tail)
    settle_at(engine, "e2", at + timedelta(seconds=1))

    assert [len(first), len(texts(tail)), len(texts(tail))] == [1, 1, 0]


def test_more_than_a_look_can_hold(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks after it tell the rest, also when all were settled in the same moment of five seconds."""
    monkeypatch.setattr("console.tail._MANY", 3)
    tail = Tail(engine)
    at = clock.now()
    for number in range(7):
        settle_at(engine, f"e{number}", at + timedelta(milliseconds=number + 1))

    assert [len(texts(tail)) for _ in range(4)] == [3, 3, 1, 0]


def test_changes_and_hostile_words(engine: Engine) -> None:
    """A change is a line; no escape of a provider is."""
    tail = Tail(engine)
    keep_user(engine, "u1")
    keep_event(engine, "e1", reason="\x1b[2J\nno")

    told = texts(tail)

    assert any("acs_user.appeared" in text and "u1" in text for text in told)
    assert all(text.isprintable() for text in told)


def test_newcomers_are_adopted_once(engine: Engine) -> None:
    """As they are first seen; what is desired already stays."""
    keep_user(engine, "u1", name="Jack")
    keep_user(engine, "u2", name="Jane", wanted={"full_name": "Ann"})

    adopted = [adopt_newcomers(engine), adopt_newcomers(engine)]

    with database.reading(engine) as connection:
        wanted = [desired.desired_of(connection, name)["full_name"] for name in ("u1", "u2")]
    assert adopted == [["u1"], []]
    assert wanted == ["Jack", "Ann"]
