"""How often an event was tried, as its row says and the console's filter finds it."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from seamkeeper import database, journal
from seamkeeper.errors import Postponed, Temporary
from seamkeeper.replays import Chosen
from simulator.serve import Running
from tests.signing import event
from tests.workers.concurrent.conftest import a_worker
from tests.workers.conftest import Floor
from tests.workers.test_replay import begin, drain
from workers import letters


def tried_again(floor: Floor) -> list[str]:
    """The filter `tries ≥ 2`."""
    with database.reading(floor.engine) as connection:
        return [row["event_id"] for row in journal.list_events(connection, tries_at_least=2)]


def failing(*errors: Exception) -> Any:
    """A reaction that fails so, one time after the other, and then goes well."""
    left = list(errors)

    def react(*_: Any) -> None:
        if left:
            raise left.pop(0)

    return react


def test_an_event_that_goes_well_at_once_has_one_try(floor: Floor, sim: Running) -> None:
    """The usual."""
    done = floor.happened("acs_user.created", sim.world.add_user())

    assert (done["status"], done["tries"]) == ("done", 1)
    assert tried_again(floor) == []


def test_each_retry_is_a_try(floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failures and a success are three, one for each of its attempts."""
    table: Any = floor.tools.table
    monkeypatch.setitem(table, "acs_user.created", (failing(Temporary("no"), Temporary("no")),))

    done = floor.happened("acs_user.created", sim.world.add_user())

    assert (done["status"], done["tries"], len(done["attempts"])) == ("done", 3, 3)
    assert tried_again(floor) == [done["event_id"]]


def test_what_was_only_postponed_is_no_try(floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited for our own limit, twice: nothing failed."""
    table: Any = floor.tools.table
    monkeypatch.setitem(table, "acs_user.created", (failing(Postponed("our limit"), Postponed("our limit")),))

    done = floor.happened("acs_user.created", sim.world.add_user())

    assert [line["outcome"] for line in done["attempts"]] == ["postponed", "postponed", "ok"]
    assert (done["status"], done["tries"]) == ("done", 1)
    assert tried_again(floor) == []


def test_a_duplicate_that_was_handled_again_and_a_replay_are_tries(floor: Floor, redis: Redis, sim: Running) -> None:
    """Each time its reactions ran."""
    acs_user_id = sim.world.add_user()
    done = floor.happened("acs_user.created", acs_user_id)
    floor.receive(event("acs_user.created", acs_user_id=acs_user_id, event_id=done["event_id"]))
    floor.work()

    begin(floor, Chosen(ids=(done["event_id"],)))
    drain(floor, redis)

    assert (floor.event(done["event_id"])["status"], floor.event(done["event_id"])["tries"]) == ("done", 3)


def test_setting_a_job_aside_is_no_try(floor: Floor, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ended in the first; who finds that tries nothing."""
    table: Any = floor.tools.table
    monkeypatch.setitem(table, "acs_user.created", (failing(Temporary("no")),))
    event_id = floor.receive(event("acs_user.created", acs_user_id="u1"))
    floor.work(include_later=False, rounds=1)
    worker = a_worker(redis, ["events"])
    job = worker.job_class.fetch(event_id, connection=redis, serializer=worker.serializer)

    letters.set_aside(lambda: floor.tools, job, "Moved to FailedJobRegistry")

    assert (floor.event(event_id)["status"], floor.event(event_id)["tries"]) == ("dead", 1)
