"""The rhythm of the access systems: who is looked through when, and who is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.exc import OperationalError

from seamkeeper import database, issues, resyncs, systems
from seamkeeper.queues import LOOK_AT_SYSTEMS
from seamkeeper.schedules import Schedules
from simulator.serve import Running
from tests.workers.conftest import Floor
from workers import jobs, rhythm
from workers.schedules import plan_all

NOON = datetime(2026, 12, 24, 12, tzinfo=UTC)


class Clockwork:
    """What Seam lists, which moment it is, and which resyncs were asked for since the last question."""

    def __init__(self, floor: Floor, monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
        self.floor, self.counts, self.clock = floor, dict[str, int](), clock
        monkeypatch.setattr(floor.tools.seam, "systems", self._systems)

    def _systems(self) -> list[dict[str, Any]]:
        return [{"acs_system_id": name, "acs_user_count": count} for name, count in self.counts.items()]

    def look(self, after: timedelta = timedelta()) -> dict[str, str]:
        """A look, so much later: acs_system_id -> why it is resynced, of those that are."""
        self.clock.shift(after)
        rhythm.look_at_systems(self.floor.tools)
        queue = Queue("resync", connection=self.floor.redis, serializer=JSONSerializer)
        asked = {job.kwargs["name"]: job.kwargs["why"] for job in queue.jobs}
        for key in self.floor.redis.scan_iter("rq:*"):
            self.floor.redis.delete(key)
        return asked

    def rhythm(self, acs_system_id: str) -> resyncs.Rhythm:
        with database.reading(self.floor.engine) as connection:
            return resyncs.rhythm_of(connection, acs_system_id)


@pytest.fixture
def clockwork(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clockwork]:
    """At noon."""
    with time_machine.travel(NOON, tick=False) as clock:
        yield Clockwork(floor, monkeypatch, clock)


MINUTE = timedelta(minutes=1)


def test_each_system_has_its_own_rhythm(clockwork: Clockwork) -> None:
    """At once when it is new, then every quarter of an hour, a tenth more or less; never in between."""
    clockwork.counts = {"s1": 3, "s2": 4}
    first = clockwork.look()
    clockwork.clock.shift(5 * MINUTE)
    clockwork.counts["s3"] = 0
    third = clockwork.look()

    asked = [name for _ in range(18) for name in clockwork.look(MINUTE)]

    assert (set(first), set(third)) == ({"s1", "s2"}, {"s3"})
    assert sorted(asked) == ["s1", "s2", "s3"]


def test_a_number_that_moved_makes_it_come_sooner_and_once(clockwork: Clockwork) -> None:
    """Seam counts another number than at its last look and than we hold."""
    clockwork.counts = {"s1": 3}
    clockwork.look()
    same = clockwork.look(MINUTE)
    clockwork.counts = {"s1": 4}

    moved, again = clockwork.look(MINUTE), clockwork.look(MINUTE)

    assert (same, moved, again) == ({}, {"s1": "Seam counts 4 users, we hold 0"}, {})


def test_what_people_call_a_system_is_kept(clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name and what it is, as Seam says them; what is no word is not kept."""
    said: dict[str, Any] = {
        "acs_system_id": "s1",
        "name": "Harbour House",
        "external_type_display_name": "Salto KS site",
    }
    monkeypatch.setattr(clockwork.floor.tools.seam, "systems", lambda: [said])

    clockwork.look()
    said |= {"name": 7, "external_type_display_name": ""}
    clockwork.look(MINUTE)

    found = clockwork.rhythm("s1")
    assert (found.name, found.brand) == ("Harbour House", "Salto KS site")


def test_a_number_that_we_hold_already_is_no_reason(clockwork: Clockwork) -> None:
    """An event was quicker."""
    clockwork.counts = {"s1": 3}
    clockwork.look()
    clockwork.counts = {"s1": 0}

    assert clockwork.look(MINUTE) == {}


def test_once_in_a_night_it_is_in_full(clockwork: Clockwork, floor: Floor) -> None:
    """From three o'clock on, in UTC."""
    clockwork.counts = {"s1": 3}
    clockwork.look()
    nights = [clockwork.look(timedelta(hours=each)) for each in (14, 1, 1, 24)]

    full = "resync of the night, in full"
    assert [night["s1"] for night in nights] == ["resync by the clock", full, "resync by the clock", full]


def test_a_system_that_is_away_is_not_hammered(clockwork: Clockwork, floor: Floor) -> None:
    """Disconnected or with an open circuit: it stays due."""
    clockwork.counts = {"s1": 3, "s2": 3}
    with floor.engine.begin() as connection:
        systems.set_system(connection, "s1", is_connected=False, at=NOON)
    floor.redis.hset(floor.tools.queues.keys.circuit("s2"), "until", 1)
    away = clockwork.look()
    with floor.engine.begin() as connection:
        systems.set_system(connection, "s1", is_connected=True, at=NOON)

    assert (away, set(clockwork.look(MINUTE))) == ({}, {"s1", "s2"})


def test_a_system_that_seam_lists_no_more_is_looked_at_while_we_hold_somebody(
    clockwork: Clockwork, floor: Floor
) -> None:
    """And not when all of them are buried."""
    with floor.engine.begin() as connection:
        for name, system, deleted_at in (("u1", "s1", None), ("u2", "s1", NOON), ("u3", "s2", NOON)):
            connection.execute(database.acs_users.insert().values(
                acs_user_id=name, acs_system_id=system, sync="unknown", health="ok", read_at=NOON,
                deleted_at=deleted_at, first_seen_at=NOON, changed_at=NOON,
            ))  # fmt: skip

    assert set(clockwork.look()) == {"s1"}


def test_a_look_that_fails_is_over_until_the_next_minute(floor: Floor, sim: Running, redis: Redis) -> None:
    """The schedule shows it; no job is tried again, none is dead, and one finding stands."""
    sim.world.faults.add("status", status=401)
    plan_all(floor.tools.queues, floor.tools.settings)

    jobs.look_at_systems()
    jobs.look_at_systems()

    with database.reading(floor.engine) as connection:
        found = [each["code"] for each in issues.list_issues(connection)]
    assert found == ["seam_refuses_us"]
    assert redis.hget(floor.tools.queues.keys.clock(), "systems.outcome") == b"failed"


def test_the_clock_leads_to_a_whole_mirror(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Planned by the scheduler, run as a job: nobody asked for anything."""
    people = [sim.world.add_user(acs_system_id=acs_system_id) for _ in range(3)]

    plan_all(floor.tools.queues, floor.tools.settings)
    floor.work()

    assert {floor.user(person)["health"] for person in people} == {"ok"}


def test_a_clock_that_was_ahead_does_not_end_the_nights(clockwork: Clockwork, floor: Floor) -> None:
    """The full resync of a wrong year is none of tonight's."""
    clockwork.counts = {"s1": 3}
    clockwork.look()
    with floor.engine.begin() as connection:
        resyncs.change(connection, "s1", full_at=NOON + timedelta(days=365))

    assert clockwork.look(MINUTE) == {"s1": "resync of the night, in full"}


def test_a_database_that_is_away_is_over_until_the_next_minute(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ's retries come later and later, and while one waits the clock plans no other look."""

    def away(_tools: Any) -> None:
        raise OperationalError("select", {}, Exception("away"))

    monkeypatch.setattr(rhythm, "look_at_systems", away)
    plan_all(floor.tools.queues, floor.tools.settings)
    floor.pull_forward()
    floor.work(include_later=False)

    assert floor.redis.hget(floor.tools.queues.keys.clock(), "systems.outcome") == b"failed"
    assert Schedules(floor.tools.queues).plan("systems", LOOK_AT_SYSTEMS, "resync", every=MINUTE) is True


def test_a_pass_that_takes_longer_than_its_rhythm_is_not_followed_by_another_at_once(
    clockwork: Clockwork, floor: Floor
) -> None:
    """The clock asks only that it goes on, in case that nobody is at it any more."""
    clockwork.counts = {"s1": 3}
    clockwork.look()
    with floor.engine.begin() as connection:
        resyncs.change(connection, "s1", number=1, began_at=NOON, ended_at=None)
    clockwork.clock.shift(17 * MINUTE)

    rhythm.look_at_systems(floor.tools)

    [job] = Queue("resync", connection=floor.redis, serializer=JSONSerializer).jobs
    assert job.kwargs == {"name": "s1", "why": "resync by the clock", "goes_on": True}
