"""A user's tries by real jobs: back-off and retry of the user, postponements, turns, and a database that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from seamkeeper import attempts, clock, database
from seamkeeper.errors import Parked, Postponed, Temporary
from seamkeeper.queues import RECONCILE, RESYNC
from simulator.serve import Running
from tests.signing import event
from tests.workers.conftest import Floor
from workers import jobs as jobs_module

GET = "/acs/users/get"


def look(floor: Floor, acs_user_id: str, *, include_later: bool = False, **options: Any) -> None:
    """One ask, and what runs of it at once."""
    floor.tools.queues.ask_reconcile(acs_user_id, why="a test", source="webhook", **options)
    floor.work(include_later=include_later)


def tries(floor: Floor, acs_user_id: str) -> list[dict[str, Any]]:
    """The lines of the user's attempts, oldest first."""
    with database.reading(floor.engine) as connection:
        return attempts.of(connection, acs_user_id=acs_user_id)


def outcomes(floor: Floor, acs_user_id: str) -> list[str]:
    """How they ended."""
    return [each["outcome"] for each in tries(floor, acs_user_id)]


def due_at(floor: Floor, queue: str = RESYNC) -> list[float]:
    """When what is scheduled comes."""
    return [score for _, score in floor.redis.zrange(f"rq:scheduled:{queue}", 0, -1, withscores=True)]


def due(floor: Floor, queue: str = RESYNC) -> list[float]:
    """In how many seconds what is scheduled comes; fewer than it was told when the test was kept waiting meanwhile."""
    return [score - time.time() for score in due_at(floor, queue)]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> Iterator[list[str]]:
    """Reconciles that raise these, one after the other; gives the users they were for."""
    left, seen = list(errors), []

    def reconcile(_tools: Any, ask: Any) -> None:
        seen.append(ask.acs_user_id)
        error = left.pop(0) if left else None
        if error:
            raise error

    with monkeypatch.context() as patched:
        patched.setattr(jobs_module, "reconcile", reconcile)
        yield seen


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """With delays that can be told from each other."""
    return environ | {"SEAMKEEPER_RETRY_DELAYS": "100,1000,10000"}


def test_a_failure_for_now_is_the_users_retry(floor: Floor, sim: Running) -> None:
    """The job is over and in no failed registry; its line says when the user comes again; then the read succeeds."""
    acs_user_id = sim.world.add_user()
    sim.world.faults.add(status=503, times=1, path=GET)

    look(floor, acs_user_id)
    [line] = tries(floor, acs_user_id)
    waits, [comes_at] = due(floor), due_at(floor)
    floor.work()

    assert (line["outcome"], "503" in line["reason"]) == ("retry", True)
    assert 60 <= waits[0] <= 121
    assert clock.parse(line["next_at"]).timestamp() == pytest.approx(comes_at, abs=2)
    assert outcomes(floor, acs_user_id) == ["retry", "ok"]
    assert floor.failed() == []
    assert due(floor) == []


def test_a_retry_stands_behind_the_live_events_of_others(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And before the resync."""
    for number in range(3):
        floor.tools.queues.ask_reconcile(f"r{number}", why="a test", source="resync", queue=RESYNC)
    with failing(monkeypatch, Temporary("503")) as seen:
        floor.tools.queues.ask_reconcile("again", why="a test", source="webhook")
        _work_one(floor, RECONCILE)
        floor.pull_forward()
        floor.tools.queues.ask_reconcile("live", why="a test", source="webhook")
        floor.work(include_later=False)

    assert seen == ["again", "live", "again", "r0", "r1", "r2"]


def _work_one(floor: Floor, queue: str) -> None:
    """One job of this queue, whatever waits in the others."""
    others = [name for name in (RECONCILE, RESYNC) if name != queue]
    for name in others:
        if floor.redis.exists(f"rq:queue:{name}"):
            floor.redis.rename(f"rq:queue:{name}", f"aside:{name}")
    floor.work(include_later=False)
    for name in others:
        if floor.redis.exists(f"aside:{name}"):
            floor.redis.rename(f"aside:{name}", f"rq:queue:{name}")


def test_back_off_grows_with_the_failures_in_a_row_and_ends_dead(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead is a failed job with its reason; a new event after it starts afresh."""
    waits: list[float] = []
    with failing(monkeypatch, *[Temporary(f"503 number {number}") for number in range(5)]):
        look(floor, "u1")
        for _ in range(3):
            waits += due(floor)
            floor.pull_forward()
            floor.work(include_later=False)
        is_dead, failed = due(floor), floor.failed()
        look(floor, "u1")
        waits_afresh = due(floor)

    assert outcomes(floor, "u1") == ["retry", "retry", "retry", "dead", "retry"]
    assert [round(wait, -1) for wait in waits] == pytest.approx([100, 1000, 10000], rel=0.4)
    assert is_dead == []
    assert len(failed) == 1
    assert "503 number 3" in str(_result(floor, failed[0]))
    assert waits_afresh == pytest.approx([100], rel=0.4)


def _result(floor: Floor, job_id: str) -> Any:
    found = Job.fetch(job_id, connection=floor.redis, serializer=JSONSerializer).latest_result()
    assert found is not None
    return found.exc_string


def test_a_retry_is_never_sooner_than_the_other_side_asked_for(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After counts when it is longer than the step."""
    with failing(monkeypatch, Temporary("429", delay=timedelta(seconds=500))):
        look(floor, "u1")

    assert 450 <= due(floor)[0] <= 503


def test_a_live_ask_during_back_off_runs_at_once_and_its_success_drops_the_retry(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No read is wasted on a user who is well."""
    with failing(monkeypatch, Temporary("503")) as seen:
        look(floor, "u1")
        look(floor, "u1")
        later = due(floor)
        floor.work()

    assert seen == ["u1", "u1"]
    assert later == []
    assert outcomes(floor, "u1") == ["retry", "ok"]


def test_a_live_ask_during_back_off_that_fails_prolongs_it(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """One retry, later than the first one was."""
    with failing(monkeypatch, Temporary("503"), Temporary("503")):
        look(floor, "u1")
        look(floor, "u1")

        assert due(floor) == pytest.approx([1000], rel=0.4)


def test_a_permanent_error_is_dead_at_once(floor: Floor, sim: Running) -> None:
    """And takes a waiting retry with it."""
    acs_user_id = sim.world.add_user()
    sim.world.faults.add(status=503, times=1, path=GET)
    look(floor, acs_user_id)
    sim.world.faults.add(status=400, times=1, path=GET)

    look(floor, acs_user_id)

    assert outcomes(floor, acs_user_id) == ["retry", "dead"]
    assert len(floor.failed()) == 1
    assert due(floor) == []


def test_what_was_postponed_costs_no_try(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user comes again after the delay; the count of failures stays as it was."""
    empty = Postponed("the bucket is empty", delay=timedelta(seconds=70))
    waits: list[float] = []
    with failing(monkeypatch, *[empty] * 10, Temporary("503")):
        look(floor, "u1")
        for _ in range(10):
            waits += due(floor)
            floor.pull_forward()
            floor.work(include_later=False)
        after = due(floor)

    lines = tries(floor, "u1")
    assert [line["outcome"] for line in lines] == ["postponed"] * 10 + ["retry"]
    assert (lines[0]["reason"], lines[0]["next_at"] is not None) == ("the bucket is empty", True)
    assert all(50 <= wait <= 86 for wait in waits)
    assert after == pytest.approx([100], rel=0.4)
    assert floor.failed() == []


def test_who_was_parked_is_not_asked_for(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes the circuit does."""
    with failing(monkeypatch, Parked("the circuit of the system is open")):
        look(floor, "u1")

    assert outcomes(floor, "u1") == ["postponed"]
    assert (due(floor), due(floor, RECONCILE), floor.failed()) == ([], [], [])
    assert floor.redis.keys("rq:seamkeeper:turn:*") == []


def test_a_run_that_finds_the_turn_taken_ends_and_comes_when_it_is_given_back(floor: Floor, sim: Running) -> None:
    """No polling: nothing runs in between, and nothing waits for the clock after."""
    acs_user_id = sim.world.add_user()
    queues = floor.tools.queues
    job_id = queues.ask_reconcile(acs_user_id, why="a test", source="webhook")
    token = queues.take_turn(acs_user_id, job_id="another", lasts=timedelta(seconds=60), step=9, is_retry=True)

    assert token is None  # a live ask waits: that one goes first
    floor.redis.set(queues.keys.turn(acs_user_id), "of a run", px=60_000)
    floor.work(include_later=False)
    during = (len(sim.world.requests.list(GET)), due(floor, RECONCILE))
    queues.give_turn_back(acs_user_id, "of a run")
    floor.work(include_later=False)

    assert (during[0], len(during[1])) == (0, 1)
    assert 30 <= during[1][0] <= 62
    assert outcomes(floor, acs_user_id) == ["ok"]
    assert floor.redis.hget(f"rq:job:{job_id}", "status") == b"finished"


def test_a_later_look_while_a_live_ask_waits_is_the_same_run(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look by an event may do all that the later one may, and more."""
    with failing(monkeypatch) as seen:
        ask = floor.tools.queues.ask_reconcile
        ask("u1", why="a write", source="repair", delay=timedelta(seconds=5), step=1)
        floor.pull_forward()
        ask("u1", why="an event", source="webhook")
        floor.work()

    assert seen == ["u1"]


def test_an_event_that_was_postponed_comes_again_without_burning_tries(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More often than it has tries; its status says why meanwhile."""
    left = [Postponed("the bucket is empty", delay=timedelta(seconds=70))] * 6
    real = floor.tools.table["acs_user.created"]

    def reaction(happening: Any, tools: Any) -> None:
        if left:
            raise left.pop()

    monkeypatch.setitem(floor.tools.table, "acs_user.created", (reaction, *real))  # type: ignore[attr-defined]
    name = floor.receive(event("acs_user.created", acs_user_id=sim.world.add_user()))

    floor.work(include_later=False)
    meanwhile, waits = floor.event(name), due(floor, "events")
    floor.work()

    assert (meanwhile["status"], meanwhile["reason"]) == ("retrying", "the bucket is empty")
    assert 50 <= waits[0] <= 86
    shown = floor.event(name)
    assert shown["status"] == "done"
    assert [line["outcome"] for line in shown["attempts"]] == ["postponed"] * 6 + ["ok"]


@contextmanager
def database_away(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be begun there."""

    def begin(*_: Any) -> Any:
        raise OperationalError("SELECT 1", {}, OSError("connection refused"))

    with monkeypatch.context() as patched:
        patched.setattr(type(floor.engine), "begin", begin)
        yield


def test_an_event_without_a_database_is_retried_with_a_reason(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log, since the journal is away; with our delay; and when it is back the event is done."""
    acs_user_id = sim.world.add_user()
    name = floor.receive(event("acs_user.created", acs_user_id=acs_user_id))

    with database_away(floor, monkeypatch), capture_logs() as log:
        floor.work(include_later=False)
    [told] = [line for line in log if line["event"] == "job.retry"]
    waits = due(floor, "events")
    floor.work()

    assert told["event_id"] == name
    assert told["reason"] == "the database does not answer as it should (OperationalError)"
    assert waits == pytest.approx([100], rel=0.4)
    assert floor.event(name)["status"] == "done"
    assert floor.user(acs_user_id)["health"] == "ok"


def test_an_event_that_never_finds_a_database_is_dead_in_rqs_failed_registry(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last delay, with the reason in the log."""
    name = floor.receive(event("acs_user.created", acs_user_id="u1"))

    with database_away(floor, monkeypatch), capture_logs() as log:
        floor.work()

    assert floor.failed() == [name]
    assert [line["event_id"] for line in log if line["event"] == "job.dead"] == [name]


def test_a_user_without_a_database_is_not_read_in_vain(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retry waits in Redis; Seam is asked when its answer can be kept."""
    acs_user_id = sim.world.add_user()

    with database_away(floor, monkeypatch):
        look(floor, acs_user_id)
    reads, waits = len(sim.world.requests.list(GET)), due(floor)
    floor.work()

    assert reads == 0
    assert waits == pytest.approx([100], rel=0.4)
    assert outcomes(floor, acs_user_id) == ["ok"]
