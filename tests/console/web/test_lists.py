"""Lists: filters, pages without a lost or doubled row, and an index for each."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from starlette.testclient import TestClient

from console.web.asked import PAGE
from seamkeeper import journal, mirror
from tests.console.web.conftest import AT, keep_event, keep_user


def _follow(site: TestClient, path: str, pattern: str) -> list[list[str]]:
    """The ids on each page of a list, from the first to the last."""
    pages = []
    while path:
        body = site.get(path).text
        pages.append(re.findall(pattern, body))
        found = re.search(r'class="next" href="([^"]+)"', body)
        path = found[1].replace("&amp;", "&") if found else ""
    return pages


def test_events_received_at_once_are_paged_whole(site: TestClient, engine: Engine) -> None:
    """Three pages of events with the same time: none is lost, none comes twice."""
    wanted = [f"e{number:03}" for number in range(2 * PAGE + 7)]
    for event_id in wanted:
        keep_event(engine, event_id)

    pages = _follow(site, "/events", r'href="/events/(e\d+)"')

    assert [len(page) for page in pages] == [PAGE, PAGE, 7]
    assert [event_id for page in pages for event_id in page] == wanted[::-1]


def test_events_come_newest_first(site: TestClient, engine: Engine) -> None:
    """By the time of receipt, whatever their ids."""
    for minutes, event_id in enumerate(("b", "c", "a")):
        keep_event(engine, event_id, at=AT + timedelta(minutes=minutes))

    assert _follow(site, "/events", r'href="/events/(\w)"') == [["a", "c", "b"]]


EVENT_FILTERS = {
    "status=dead": ["e3"],
    "type=acs_user.deleted": ["e2"],
    "user=u9": ["e4"],
    "status=done&type=acs_user.created&user=u1": ["e1"],
    "status=&type=&user=": ["e4", "e3", "e2", "e1"],
    "status=nonsense": [],
    "user=%00": [],
}
USER_FILTERS = {
    "": ["u1", "u2", "u3"],
    "sync=drifted": ["u2"],
    "health=error": ["u3"],
    "system=s1&sync=in_sync": ["u1"],
    "system=other": [],
    "search=pat": ["u3"],
    "search=%25": [],
    "search=%00": [],
}


def test_filters_of_events(site: TestClient, engine: Engine) -> None:
    """Each filter alone and all together; an empty field is no filter."""
    keep_event(engine, "e1")
    keep_event(engine, "e2", event_type="acs_user.deleted")
    keep_event(engine, "e3", status="dead")
    keep_event(engine, "e4", acs_user_id="u9")

    found = {query: _follow(site, f"/events?{query}", r'href="/events/(e\d)"') for query in EVENT_FILTERS}

    assert found == {query: [expected] for query, expected in EVENT_FILTERS.items()}


def test_a_filter_stays_on_the_next_page(site: TestClient, engine: Engine) -> None:
    """The link to the next page repeats it."""
    for number in range(PAGE + 3):
        keep_event(engine, f"e{number:03}", status="dead")
        keep_event(engine, f"x{number:03}")

    pages = _follow(site, "/events?status=dead", r'href="/events/([ex]\d+)"')

    assert [len(page) for page in pages] == [PAGE, 3]
    assert all(event_id.startswith("e") for page in pages for event_id in page)
    assert [len(page) for page in _follow(site, "/dead", r'href="/events/([ex]\d+)"')] == [PAGE, 3]


def test_filters_of_users(site: TestClient, engine: Engine) -> None:
    """Each filter, and a search in which % is only a character."""
    keep_user(engine, "u1")
    keep_user(engine, "u2", sync="drifted")
    keep_user(engine, "u3", sync="unknown", health="error", name="Mina Patel")

    found = {query: _follow(site, f"/users?{query}", r'class="who" href="/users/(u\d)"') for query in USER_FILTERS}

    assert found == {query: [expected] for query, expected in USER_FILTERS.items()}


def test_users_are_paged_by_id(site: TestClient, engine: Engine) -> None:
    """Three pages, every user once."""
    wanted = [f"u{number:03}" for number in range(2 * PAGE + 1)]
    for acs_user_id in wanted:
        keep_user(engine, acs_user_id)

    pages = _follow(site, "/users", r'class="who" href="/users/(u\d+)"')

    assert [len(page) for page in pages] == [PAGE, PAGE, 1]
    assert [acs_user_id for page in pages for acs_user_id in page] == wanted


_BEFORE = (AT, "e1")


QUERIES: tuple[tuple[Any, dict[str, Any], str], ...] = (
    (journal.list_events, {"before": _BEFORE}, "events_by_time"),
    (journal.list_events, {"before": _BEFORE, "status": "dead"}, "events_by_status"),
    (journal.list_events, {"before": _BEFORE, "event_type": "acs_user.created"}, "events_by_type"),
    (journal.list_events, {"before": _BEFORE, "acs_user_id": "u1"}, "events_by_user"),
    (journal.count_since, {"since": AT}, "events_by_time"),
    (journal.count_with, {"status": "dead"}, "events_by_status"),
    (journal.unsettled_before, {"status": "running", "at": AT, "after": _BEFORE}, "events_by_status"),
    (journal.settled_between, {"event_type": "t", "after": _BEFORE, "until": AT}, "events_by_type"),
    (mirror.list_users, {"after": "u1"}, "acs_users"),
    (mirror.list_users, {"after": "u1", "sync": "drifted"}, "acs_users_by_sync"),
    (mirror.list_users, {"after": "u1", "health": "error"}, "acs_users_by_health"),
    (mirror.list_users, {"after": "u1", "acs_system_id": "s1"}, "acs_users_by_system"),
)


def test_every_list_has_its_index(engine: Engine) -> None:
    """The planner enters an index at the place asked for, and sorts no list, on both databases."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # an empty table is cheaper to read whole
            connection.execute(text("SET enable_seqscan = off"))
            connection.execute(text("SET enable_bitmapscan = off"))
        plans = [(_plan(connection, query, arguments), query, index) for query, arguments, index in QUERIES]

    for plan, query, index in plans:
        assert index in plan, plan
        assert query is journal.count_since or not re.search(r"\bSort\b|TEMP B-TREE", plan), plan
        assert not re.search(r"SCAN (?!anon_1|CONSTANT ROW|\(subquery)", plan), (
            plan
        )  # these: the few rows already found


def _plan(connection: Connection, query: Any, arguments: dict[str, Any]) -> str:
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    seen: list[tuple[str, Any]] = []

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", remember)
    query(connection, **arguments)
    event.remove(connection, "before_cursor_execute", remember)
    found = [connection.exec_driver_sql(explain + statement, parameters) for statement, parameters in seen]
    return "\n".join(str(row) for rows in found for row in rows)
