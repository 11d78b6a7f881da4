"""What is too old goes, in bites that nobody notices; what still matters stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select, text
from structlog.testing import capture_logs

from seamkeeper import checkpoints, clock, database, retention
from seamkeeper.database import (
    actions,
    attempts,
    audit,
    changes,
    dead_letters,
    events,
    issues,
    notices,
    replays,
)
from seamkeeper.schedules import Schedules
from tests.workers.conftest import Floor
from workers import retention as pruning
from workers import schedules
from workers.jobs import prune

NOW = clock.now()
MONTHS, YEARS = NOW - timedelta(days=40), NOW - timedelta(days=400)


def an_event(name: str, *, at: datetime = MONTHS, status: str = "done") -> dict[str, Any]:
    """A row."""
    return {
        "event_id": name, "event_type": "a.b", "status": status, "source": "webhook", "body": "{}", "received_at": at,
        "acs_user_id": "u1",
    }  # fmt: skip


def a_try(*, at: datetime = MONTHS, **about: Any) -> dict[str, Any]:
    """A row."""
    blank = {"event_id": None, "acs_user_id": None}
    return blank | {"job_id": "j", "job": "handle_event", "started_at": at, "outcome": "ok"} | about


def a_letter(kind: str, name: str, *, ended_at: datetime | None = None) -> dict[str, Any]:
    """A row."""
    return {
        "kind": kind, "subject_id": name, "job": "x", "cause": "x", "tries": 1, "first_at": YEARS, "died_at": YEARS,
        "ended_at": ended_at, "ended_by": ended_at and "success",
    }  # fmt: skip


def many(engine: Engine, number: int) -> None:
    """So many old events, each with its try."""
    with engine.begin() as connection:
        for first in range(0, number, 5000):
            names = [f"e{index:07}" for index in range(first, min(first + 5000, number))]
            connection.execute(insert(events), [an_event(name) for name in names])
            connection.execute(insert(attempts), [a_try(event_id=name) for name in names])


def count(engine: Engine, table: Any) -> int:
    """Rows."""
    with database.reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def of(engine: Engine, column: Any) -> list[Any]:
    """A column, sorted."""
    with database.reading(engine) as connection:
        return sorted(connection.execute(select(column)).scalars(), key=str)


def test_old_events_go_with_their_tries(floor: Floor) -> None:
    """Not what is open, nor what an open dead letter speaks of; the numbers stand in one line of the log."""
    rows = [
        an_event("old"), an_event("old-ignored", status="ignored"), an_event("old-dead", status="dead"),
        an_event("running", status="running"), an_event("letter", status="dead"),
        an_event("young", at=NOW - timedelta(days=29)),
    ]  # fmt: skip
    tries = [a_try(event_id=row["event_id"], at=row["received_at"]) for row in rows]
    tries += [a_try(acs_user_id=name) for name in ("u1", "u-dead")] + [a_try(), a_try(acs_user_id="u1", at=NOW)]
    with floor.engine.begin() as connection:
        connection.execute(insert(events), rows)
        connection.execute(insert(attempts), tries)
        connection.execute(insert(dead_letters), [a_letter("event", "letter"), a_letter("user", "u-dead")])
        connection.execute(insert(dead_letters), [a_letter("event", "old-dead", ended_at=MONTHS)])

    with capture_logs() as log:
        assert pruning.prune(floor.tools)

    left = ["letter", "running", "young"]
    assert of(floor.engine, events.c.event_id) == left
    with database.reading(floor.engine) as connection:
        kept = connection.execute(select(attempts.c.event_id, attempts.c.acs_user_id)).all()
    assert {tuple(row) for row in kept} == {*((name, None) for name in left), (None, "u-dead"), (None, "u1")}
    [line] = [line for line in log if line["event"] == "retention.pruned"]
    assert (line["events"], line["attempts"], line["is_over"]) == (3, 5, True)


def test_history_is_kept_longer(floor: Floor) -> None:
    """What is over and older than a year goes; what is open stays however old it is."""
    for_all = {"acs_user_id": "u1"}
    with floor.engine.begin() as connection:
        for at in (YEARS, MONTHS):
            over = {"endpoint": "x", "asked_by": "x", "why": {}, "before": {}, "request": {}, "started_at": at}
            connection.execute(insert(changes).values(**for_all, type="x", source="x", at=at))
            connection.execute(insert(audit).values(who="Ada", role="admin", action="x", at=at))
            connection.execute(insert(actions).values(**for_all, **over, outcome="ok", ended_at=at))
            connection.execute(insert(actions).values(**for_all, **over))
            issue = {"kind": "error", "code": "x", "first_seen_at": at, "last_seen_at": at}
            connection.execute(insert(issues).values(**for_all, **issue, cleared_at=at))
            connection.execute(insert(issues).values(**for_all, **issue))
            connection.execute(insert(dead_letters), [a_letter("user", f"u{at:%y%m%d}", ended_at=at)])
            connection.execute(insert(dead_letters), [a_letter("user", f"open{at:%y%m%d}")])
            for state in ("sent", "waiting"):
                name = f"{state}{at:%y%m%d}"
                connection.execute(insert(notices).values(name=name, title="x", body="x", state=state, made_at=at))
            for state in ("done", "running"):
                connection.execute(insert(replays).values(
                    chosen={}, state=state, rate=1, matched=1, eligible=1, done=1, skipped=0, asked_by="x",
                    asked_at=at, moved_at=at,
                ))  # fmt: skip

    assert pruning.prune(floor.tools)

    tables = (changes, actions, issues, dead_letters, notices, replays)
    assert [count(floor.engine, table) for table in tables] == [1, 3, 3, 3, 3, 3]


def test_a_run_that_is_cut_off_goes_on_at_once(floor: Floor) -> None:
    """Its place is kept, the next run is asked for now; at the end both are forgotten."""
    many(floor.engine, 1700)
    runs = []

    for _ in range(20):
        runs.append(pruning.prune(floor.tools, seconds=0))
        with database.reading(floor.engine) as connection:
            place = checkpoints.read(connection, "retention")
        assert (place is None) == runs[-1]
        if runs[-1]:
            break

    assert runs == [False] * (len(runs) - 1) + [True]
    assert len(runs) > 3
    assert (count(floor.engine, events), count(floor.engine, attempts)) == (0, 0)
    assert floor.redis.hget("rq:seamkeeper:clock", "retention.again") == b"1"


def test_one_row_with_a_wrong_time_holds_nobody_up(floor: Floor) -> None:
    """A clock that was ahead once: what came after it goes all the same."""
    with floor.engine.begin() as connection:
        connection.execute(insert(attempts), [a_try(at=NOW + timedelta(days=900)), *(a_try() for _ in range(700))])

    pruning.prune(floor.tools)

    assert count(floor.engine, attempts) == 1


def test_it_comes_by_the_clock(floor: Floor) -> None:
    """Hourly, in the last queue, with its run written down."""
    schedules.plan_all(floor.tools.queues, floor.tools.settings)
    with floor.engine.begin() as connection:
        connection.execute(insert(events), [an_event("old")])
    prune()

    [planned] = [each for each in Schedules(floor.tools.queues).all() if each.name == "retention"]
    assert planned.every is not None
    assert timedelta(minutes=50) < planned.every < timedelta(minutes=70)
    assert (planned.outcome, planned.is_running) == ("ok", False)
    assert count(floor.engine, events) == 0


@pytest.mark.parametrize("number", [4000, pytest.param(100_000, marks=[pytest.mark.proof, pytest.mark.timeout(600)])])
def test_a_writer_beside_it_is_never_refused(floor: Floor, number: int) -> None:
    """On SQLite one writes at a time; the bites are short enough, and the rests between them long enough."""
    many(floor.engine, number)
    beside, stop, written, refused = database.open_engine(floor.tools.settings.database_url), threading.Event(), [0], []

    def write() -> None:
        while not stop.wait(0.005):
            try:
                with beside.begin() as connection:
                    connection.execute(insert(changes).values(acs_user_id="u1", type="x", source="x", at=clock.now()))
                written[0] += 1
            except Exception as error:
                refused.append(repr(error))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not pruning.prune(floor.tools):
            pass
    finally:
        stop.set()
        writer.join()
        beside.dispose()

    assert refused == []
    assert written[0] > number / retention.BATCH  # at least one between two bites
    assert (count(floor.engine, events), count(floor.engine, attempts)) == (0, 0)


def statements(engine: Engine, kept: retention.Kept) -> Iterator[tuple[str, Any]]:
    """What one bite of this table sends."""
    seen: list[tuple[str, Any]] = []

    def remember(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    with engine.connect() as connection:
        event.listen(connection, "before_cursor_execute", remember)
        place: Any = None
        for _ in range(2):  # the first, and one from a place on
            place = retention.bite(connection, kept, before=MONTHS + timedelta(days=1), place=place, limit=20).place
        event.remove(connection, "before_cursor_execute", remember)
        connection.rollback()
    yield from seen


@pytest.mark.parametrize("kept", retention.KEPT, ids=lambda kept: kept.name)
def test_an_index_leads_to_every_bite(engine: Engine, kept: retention.Kept) -> None:
    """The planner reads no table from end to end, neither to find what is old nor to remove it."""
    many(engine, 3000)
    with engine.begin() as connection:
        connection.execute(insert(dead_letters), [a_letter("event", f"d{n}", ended_at=MONTHS) for n in range(3000)])
        connection.execute(
            insert(changes), [{"acs_user_id": "u", "type": "x", "source": "x", "at": MONTHS} for _ in range(3000)]
        )
        issue = {"kind": "error", "code": "x", "first_seen_at": MONTHS, "last_seen_at": MONTHS, "cleared_at": MONTHS}
        connection.execute(insert(issues), [issue for _ in range(3000)])
        over = {"acs_user_id": "u", "endpoint": "x", "asked_by": "x", "why": {}, "before": {}, "request": {}}
        connection.execute(insert(actions), [over | {"started_at": MONTHS, "ended_at": MONTHS} for _ in range(3000)])
        done = {"chosen": {}, "state": "done", "rate": 1, "matched": 1, "eligible": 1, "done": 1, "skipped": 0}
        done |= {"asked_by": "x", "asked_at": MONTHS, "moved_at": MONTHS}
        connection.execute(insert(replays), [done for _ in range(3000)])
        line = {"who": "Ada", "role": "admin", "action": "x", "at": MONTHS}
        connection.execute(insert(audit), [line for _ in range(3000)])
        notice = {"title": "x", "body": "x", "state": "sent", "made_at": MONTHS}
        connection.execute(insert(notices), [notice | {"name": f"n{n}"} for n in range(3000)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))

    with engine.connect() as connection:
        for statement, parameters in statements(engine, kept):
            if statement.startswith(("SELECT", "DELETE")):
                plan = _plan(connection, statement, parameters)
                assert not {"SCAN events", "SCAN attempts", "SCAN changes", "Seq Scan"} & _scans(plan, kept), plan


def _plan(connection: Connection, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))


def _scans(plan: str, kept: retention.Kept) -> set[str]:
    """Reads of a whole table. One along its key from the start that ends after a page is none."""
    found = set()
    for line in plan.splitlines():
        if "Seq Scan" in line and " on " in line:
            found.add("Seq Scan")
        if "SCAN " in line and "USING" not in line and kept.order[0].primary_key is False:
            found.add("SCAN events")
    return found
