"""What a try asked of Seam stands in its line: method, path, status, time, request id; no value."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from seamkeeper import attempts, database, logs
from simulator.serve import Running
from tests.workers.conftest import Floor
from workers import calls

AT = datetime(2026, 11, 22, tzinfo=UTC)


def test_each_try_keeps_its_own_calls(floor: Floor, sim: Running) -> None:
    """One that was refused and one that read and repaired: what was asked, and nobody's name or number."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Roe")
    sim.world.faults.add("json", path="/acs/users/get", status=503, body={"error": {}}, times=1)

    floor.happened("acs_user.created", acs_user_id)

    with database.reading(floor.engine) as connection:
        tries = attempts.of(connection, acs_user_id=acs_user_id)
    asked = [[(call["method"], call["path"], call["status"]) for call in each["calls"] or []] for each in tries]
    assert asked[0] == [("GET", "/acs/users/get", 503)]
    assert asked[1][:2] == [("GET", "/acs/users/get", 200), ("POST", "/acs/users/update", 200)]
    [_, update] = tries[1]["calls"][:2]
    assert set(update) == {"method", "path", "status", "ms", "request_id"}
    assert update["request_id"]
    for hidden in ("Jack", "Jane", acs_user_id):
        assert hidden not in json.dumps([each["calls"] for each in tries])


def test_the_way_of_an_event_ends_with_the_reconcile_that_served_it(floor: Floor, sim: Running) -> None:
    """Its own try, the one that failed, the one that settled the user; what came later is another's."""
    acs_user_id = sim.world.add_user()
    sim.world.faults.add("json", path="/acs/users/get", status=503, body={"error": {}}, times=1)
    first = floor.happened("acs_user.created", acs_user_id)
    floor.happened("acs_user.created", acs_user_id)

    with database.reading(floor.engine) as connection:
        way = attempts.way_of(connection, first["event_id"], acs_user_id)
    assert [(each["job"], each["outcome"]) for each in way] == [
        ("handle_event", "ok"), ("reconcile_user", "retry"), ("reconcile_user", "ok"),
    ]  # fmt: skip


def test_no_more_than_fifty_are_kept() -> None:
    """A resync makes hundreds."""
    with calls.noted() as found:
        for _ in range(60):
            calls.note("GET", "/acs/users/list", status=200, took=0.1234, request_id=None)

    assert len(found) == 50
    assert found[0]["ms"] == 123


def test_a_try_within_a_try_keeps_its_own() -> None:
    """And nothing is noted outside of any."""
    calls.note("GET", "/x", status=None, took=0, request_id=None)
    with calls.noted() as outer:
        with calls.noted() as inner:
            calls.note("GET", "/y", status=None, took=0, request_id=None)
        calls.note("GET", "/x", status=None, took=0, request_id=None)

    assert ([each["path"] for each in outer], [each["path"] for each in inner]) == (["/x"], ["/y"])


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The log as processes write it; gives what was said. The file stays open: some loggers keep theirs for ever."""
    said = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", said)
        logs.configure("json")
    return lambda: [json.loads(line)["event"] for line in said.getvalue().splitlines()]


def test_what_is_logged_stands_beside_its_try(floor: Floor, sim: Running, logged: Callable[[], list[str]]) -> None:
    """Without the lines that say what `calls` says."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    sim.world.faults.add("json", path="/acs/users/get", status=429, body={"error": {}}, times=1)

    floor.happened("acs_user.created", acs_user_id)

    with database.reading(floor.engine) as connection:
        first, *_ = attempts.of(connection, acs_user_id=acs_user_id)
    assert [line["event"] for line in first["lines"]] == ["seam.refused"]
    assert "Jack" not in json.dumps(first["lines"])
    assert "seam.called" in logged()


def test_a_try_keeps_what_was_logged_meanwhile(logged: Callable[[], list[str]]) -> None:
    """Beside standard output, values as JSON can hold them, without tracebacks; nothing outside of a block."""
    log = logs.get().bind(job="own")
    log.info("before")
    with logs.kept() as outer:
        log.info("opened", door="north", at_door=AT, times=2, share=math.nan, word="\ud800")
        with logs.kept() as inner:
            log.warning("refused", exc_info=ValueError("Jack Doe"))
        log.debug("unseen")
    log.info("after")

    [first], [second] = outer, inner
    assert {**first, "at": ""} == {
        "at": "", "event": "opened", "level": "info", "job": "own", "door": "north", "at_door": str(AT), "times": 2,
        "share": "nan", "word": "?",
    }  # fmt: skip
    assert (second["event"], second["level"]) == ("refused", "warning")
    assert "Jack" not in json.dumps(second)
    assert logged() == ["before", "opened", "refused", "after"]
