"""Which events fit a filter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from seamkeeper import journal, mirror
from seamkeeper.database import events
from seamkeeper.event_filters import Wanted
from seamkeeper.mirror import Verdict

AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def _keep(engine: Engine, *rows: dict[str, Any]) -> None:
    made = {
        "event_type": "acs_user.created", "acs_user_id": "u1", "acs_system_id": "s1", "status": "done",
        "source": "webhook", "delivery_id": "msg_1", "body": "{}", "tries": 1, "received_at": AT,
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(events), [made | row for row in rows])


FILTERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "everything, newest first": ({}, ["e7", "e6", "e5", "e4", "e3", "e2", "e1"]),
    "a source": ({"source": "backfill"}, ["e2"]),
    "the usual source": ({"source": "webhook", "status": "dead"}, ["e3"]),
    "a system": ({"acs_system_id": "s2"}, ["e4"]),
    "a system and a status": ({"acs_system_id": "s1", "status": "dead"}, ["e3"]),
    "a system and a type that it never had": ({"acs_system_id": "s2", "event_type": "acs_user.deleted"}, []),
    "a type and a status": ({"event_type": "acs_user.deleted", "status": "done"}, ["e5"]),
    "tried again": ({"tries_at_least": 2}, ["e6", "e3"]),
    "tried often": ({"tries_at_least": 5}, ["e6"]),
    "tried at all": ({"tries_at_least": 1, "status": "dead"}, ["e3"]),
    "tried again, and dead": ({"tries_at_least": 2, "status": "dead", "source": "webhook"}, ["e3"]),
    "since a moment, which belongs to it": ({"since": AT + timedelta(minutes=6)}, ["e7", "e6"]),
    "until a moment, which does not": ({"until": AT + timedelta(minutes=2)}, ["e1"]),
    "between two": ({"since": AT + timedelta(minutes=2), "until": AT + timedelta(minutes=4)}, ["e3", "e2"]),
    "an event's id": ({"search": "e4"}, ["e4"]),
    "an event's id that does not fit": ({"search": "e4", "status": "dead"}, []),
    "a delivery": ({"search": "msg_7"}, ["e7"]),
    "a delivery that nobody knows": ({"search": "msg_none"}, []),
    "a user's id": ({"search": "u9"}, ["e5"]),
    "a user's name": ({"search": "PÉREZ"}, ["e7", "e5"]),
    "a user's mail, and a type": ({"search": "jo@example", "event_type": "acs_user.deleted"}, ["e5"]),
    "a name that nobody has": ({"search": "nobody"}, []),
    "% is only a character": ({"search": "%"}, []),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter(engine: Engine, name: str) -> None:
    """Those that fit, newest first; their number is counted alike."""
    at = {
        f"e{number}": {"event_id": f"e{number}", "received_at": AT + timedelta(minutes=number)} for number in range(8)
    }
    _keep(
        engine,
        at["e1"],
        at["e2"] | {"source": "backfill"},
        at["e3"] | {"status": "dead", "tries": 3},
        at["e4"] | {"acs_system_id": "s2"},
        at["e5"] | {"event_type": "acs_user.deleted", "acs_user_id": "u9"},
        at["e6"] | {"tries": 5},
        at["e7"] | {"delivery_id": "msg_7", "acs_user_id": "u8"},
    )
    filters, expected = FILTERS[name]

    with engine.begin() as connection:
        for acs_user_id, mail in (("u8", "eva@example.com"), ("u9", "Jo@Example.com")):
            raw = {"acs_user_id": acs_user_id, "display_name": "José Pérez", "email_address": mail}
            before = mirror.standing(connection, acs_user_id)
            mirror.keep(connection, before, raw, Verdict("in_sync", {}), health="ok", read_at=AT)
        found = [row["event_id"] for row in journal.list_events(connection, **filters)]
        number = journal.count_events(connection, Wanted(**filters))

    assert found == expected
    assert number == len(expected)


def test_counting_ends_where_it_was_told(engine: Engine) -> None:
    """Of 30 events 20 are counted, by every way to them."""
    _keep(engine, *({"event_id": f"e{number:02}"} for number in range(30)))

    with engine.connect() as connection:
        for wanted in (Wanted(), Wanted(status="done"), Wanted(status="done", event_type="acs_user.created")):
            assert journal.count_events(connection, wanted, at_most=20) == 20


def test_pages_of_two_filters_join(engine: Engine) -> None:
    """Page after page, no event is lost and none comes twice."""
    _keep(engine, *({"event_id": f"e{number:02}", "status": ("done", "dead")[number % 2]} for number in range(40)))
    seen: list[str] = []
    before = None

    with engine.connect() as connection:
        while page := journal.list_events(
            connection, status="dead", event_type="acs_user.created", before=before, limit=7
        ):
            seen += [row["event_id"] for row in page]
            before = AT, seen[-1]

    assert seen == [f"e{number:02}" for number in range(39, 0, -2)]
