"""Lists: what the planner says of each, with every filter there is, over a crowd.

The crowd is small. PostgreSQL is told that there were many more rows in the same pages. SQLite plans without numbers,
as in every deployment of ours; and once more with those of a large one, since somebody may have run ANALYZE.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from bench import console_asks, crowd, filling
from seamkeeper import database, issues, journal, mirror

USERS, EVENTS, TIMES = 400, 4000, 250
LARGE = ("events", "attempts", "acs_users", "issues", "changes", "actions", "audit", "dead_letters")
WHOLE = ("counts of users", "dead letters, by cause", "count of dead letters", "issues by code")  # of all, by intent
WALKED = ("issues, cleared", "dead letters", "audit", "replays")  # along the key, where many fit

LONG_AGO = (crowd.NOW - timedelta(days=25), "e")

_SCAN = re.compile(rf"Seq Scan on ({'|'.join(LARGE)})|SCAN ({'|'.join(LARGE)})(?! USING (?:COVERING )?INDEX)")


@pytest.fixture
def made(engine: Engine) -> crowd.Crowd:
    """Who and what is there."""
    made = crowd.Crowd(USERS, EVENTS)
    filling.fill(engine, made)
    return made


@pytest.mark.parametrize("is_told", [False, True], ids=["as it is", "of very many"])
def test_no_list_scans(engine: Engine, made: crowd.Crowd, is_told: bool) -> None:
    """No large table is read from end to end: not by any filter, not by those that hardly meet, not for a count."""
    if is_told or engine.dialect.name == "postgresql":  # which reads a table of two pages whole, and rightly so
        _tell_of_many(engine)

    with database.reading(engine) as connection:
        lists = console_asks.lists(connection, made)
        plans = {name: _plan(connection, query) for name, query in lists.items() if name not in (*WHOLE, *WALKED)}

    assert len(plans) > 200
    assert {name: plan for name, plan in plans.items() if _SCAN.search(plan)} == {}


def _tell_of_many(engine: Engine) -> None:
    """Numbers of a large deployment, in the places where the planner looks."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            indexes = [str(index.name) for table in database.metadata.tables.values() for index in table.indexes]
            more = text("UPDATE pg_class SET reltuples = reltuples * :times WHERE relname = ANY(:names)")
            connection.execute(more, {"times": TIMES, "names": [*LARGE, *indexes]})
            return
        connection.execute(text("ANALYZE"))
        for row in connection.execute(text("SELECT rowid, stat FROM sqlite_stat1")).all():
            stat = " ".join(str(int(each) * TIMES) if int(each) > 1 else each for each in row.stat.split())
            connection.execute(
                text("UPDATE sqlite_stat1 SET stat = :stat WHERE rowid = :rowid"), {"stat": stat, "rowid": row.rowid}
            )
    engine.dispose()  # they are read when a connection is opened


def _events(**filters: Any) -> Any:
    return lambda connection, made: journal.list_events(connection, before=(crowd.NOW, "x"), **_of(made, filters))


def _users(**filters: Any) -> Any:
    return lambda connection, made: mirror.list_users(connection, after="0", **_of(made, filters))


def _of(made: crowd.Crowd, filters: dict[str, Any]) -> dict[str, Any]:
    """The words that stand for somebody, put into place."""
    return {name: value(made) if callable(value) else value for name, value in filters.items()}


def _large(made: crowd.Crowd) -> str:
    return made.systems[0]


def _small(made: crowd.Crowd) -> str:
    return made.systems[19]


def _busiest(made: crowd.Crowd) -> str:
    return made.busiest


ENTERED = {
    "events": (_events(), "events_by_time"),
    "events of a status": (_events(status="dead"), "events_by_status"),
    "events of a type": (_events(event_type="acs_user.created"), "events_by_type"),
    "events of a user": (_events(acs_user_id=_busiest), "events_by_user"),
    "events of a system": (_events(acs_system_id=_large), "events_by_system"),
    "events of a source": (_events(source="backfill"), "events_by_other_source"),
    "events tried again": (_events(tries_at_least=2), "events_tried_again"),
    "events of a delivery": (_events(search="msg_1"), "events_by_delivery"),
    "events of an hour": (_events(since=crowd.NOW - timedelta(hours=1)), "events_by_time"),
    "a rare status of a usual type": (_events(status="retrying", event_type="lock.unlocked"), "events_by_status"),
    "a usual status of a rare type": (
        _events(status="ignored", event_type="thermostat.temperature_changed"), "events_by_type",
    ),
    "a usual status of a small system": (_events(status="done", acs_system_id=_small), "events_by_system"),
    "a source and a usual status": (_events(source="replay", status="done"), "events_by_other_source"),
    "users of a sync": (_users(sync="drifted"), "acs_users_by_sync"),
    "users of a health": (_users(health="error"), "acs_users_by_health"),
    "users of a system": (_users(acs_system_id=_large), "acs_users_by_system"),
    "users with a code": (_users(code="deleted_externally"), "issues_open_by_user"),
    "users by name": (_users(search="jack"), "acs_users_by_name_key"),
    "users by last name": (_users(search="doe"), "acs_users_by_last_name_key"),
    "issues of a code": (
        lambda connection, _made: issues.list_issues(connection, code="deleted_externally"), "issues_open_by_code",
    ),
    "what waits": (
        lambda connection, _made: journal.unsettled_before(connection, "running", crowd.NOW, after=LONG_AGO),
        "events_by_status",
    ),
    "what was handled": (
        lambda connection, _made: journal.settled_between(connection, "acs_user.created", LONG_AGO, crowd.NOW),
        "events_by_type",
    ),
    "how many each minute": (
        lambda connection, _made: journal.received_per_minute(connection, crowd.NOW - timedelta(hours=1)),
        "events_by_time",
    ),
    "how many since then": (
        lambda connection, _made: journal.count_since(connection, crowd.NOW - timedelta(hours=1)), "events_by_status",
    ),
}  # fmt: skip


def test_each_list_enters_the_index_it_has(engine: Engine, made: crowd.Crowd) -> None:
    """The one that leads to the fewest, and the list comes out of it in order."""
    if engine.dialect.name == "postgresql":
        _tell_of_many(engine)

    with database.reading(engine) as connection:
        plans = {
            name: _plan(connection, lambda connection, query=query: query(connection, made))
            for name, (query, _) in ENTERED.items()
        }

    missed = {name: plans[name] for name, (_, index) in ENTERED.items() if index not in plans[name]}
    assert missed == {}


def _plan(connection: Connection, query: console_asks.Query) -> str:
    """Of all statements that a query leads to."""
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    seen: list[tuple[str, Any]] = []

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", remember)
    query(connection)
    event.remove(connection, "before_cursor_execute", remember)
    found = [connection.exec_driver_sql(explain + statement, parameters) for statement, parameters in seen]
    return "\n".join(str(row) for rows in found for row in rows)
