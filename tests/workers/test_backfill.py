"""Events that no delivery brought: fetched once, in any order, however many, whatever Seam answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import func, select

from seamkeeper import checkpoints, clock, database, registration, spans
from seamkeeper.database import attempts, events
from seamkeeper.errors import Temporary
from seamkeeper.queues import BACKFILL
from seamkeeper.rqjob import Job
from simulator.records import Event
from simulator.serve import Running, running
from simulator.world import World
from tests.signing import event
from tests.workers.conftest import Floor
from workers import backfill
from workers.seam_api import SeamApi
from workers.watchdog import Watchdog


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own: its events are counted."""
    with running(World(users=1, seed=3)) as simulator:
        yield simulator


def run(floor: Floor) -> None:
    """One backfill by the clock, and what it leads to."""
    floor.enqueue(Job(f"clock-backfill-{clock.now().timestamp():.6f}".replace(".", "-"), BACKFILL, {}, "backfill"))
    floor.work()


def happen(sim: Running, number: int, *, ago: timedelta = timedelta(minutes=1), apart: timedelta = timedelta()) -> None:
    """So many events at Seam, some time ago, that no webhook delivers."""
    at = clock.now().replace(microsecond=0) - ago
    for index in range(number):
        made_at = at + index * apart
        stamp = made_at.isoformat().replace("+00:00", "Z")
        made = event("acs_system.added", acs_system_id=sim.world.acs_system_id, created_at=stamp, occurred_at=stamp)
        sim.world.events.append(Event(made_at, made))


def kept(floor: Floor) -> dict[str, str]:
    """event_id -> by which way it came, of the journal."""
    with database.reading(floor.engine) as connection:
        rows = connection.execute(select(events.c.event_id, events.c.source))
        return {event_id: source for event_id, source in rows}  # noqa: C416 (a result has keys: dict reads them)


def mark(floor: Floor) -> dict[str, Any]:
    """The checkpoint."""
    with database.reading(floor.engine) as connection:
        [found] = checkpoints.read_all(connection, "backfill:").values()
    return dict(found)


@pytest.mark.parametrize("order", ["oldest", "newest", "shuffled"])
def test_a_missed_event_is_found_and_handled_once(
    floor: Floor, sim: Running, order: Literal["oldest", "newest", "shuffled"]
) -> None:
    """Whatever the order of the answers; what a delivery had brought is not taken again."""
    sim.world.settings.event_order = order
    happen(sim, 30, apart=timedelta(seconds=1))
    ids = [str(each.body["event_id"]) for each in sim.world.events]
    delivered = floor.receive(dict(sim.world.events[0].body))
    floor.work()

    run(floor)
    run(floor)

    assert kept(floor) == {each: "webhook" if each == delivered else "backfill" for each in ids}
    assert {floor.event(each)["status"] for each in ids} == {"done"}
    assert all(len(floor.event(each)["attempts"]) == 1 for each in ids)


def test_a_full_answer_is_halved(floor: Floor, sim: Running) -> None:
    """3,000 events are more than six answers hold; each is there once, and nobody is asked more than needed."""
    happen(sim, 3000, ago=timedelta(hours=60), apart=timedelta(minutes=1))

    count, is_done = backfill.by_the_clock(floor.tools)

    assert is_done
    assert count.brought == floor.redis.llen("rq:queue:events") == 3000
    assert len(sim.world.requests.list("/events/list")) < 40


def test_more_events_of_one_moment_than_an_answer_holds(floor: Floor, sim: Running) -> None:
    """A window that cannot be halved is read by its offset."""
    happen(sim, 1200)

    count, is_done = backfill.by_the_clock(floor.tools)

    assert is_done
    assert count.brought == floor.redis.llen("rq:queue:events") == 1200


def test_the_watermark_moves_only_over_what_is_queued(floor: Floor, sim: Running) -> None:
    """A Seam that fails halfway leaves it where all is safe; the next run brings the rest."""
    run(floor)
    before = mark(floor)["until"]
    happen(sim, 3)
    sim.world.faults.add(status=500, path="/events/list")

    run(floor)
    stood = mark(floor)["until"]
    sim.world.faults.clear()
    run(floor)

    assert stood == before
    assert mark(floor)["until"] > before
    assert len(kept(floor)) == 3


def test_an_event_that_is_listed_late_is_within_the_overlap(floor: Floor, sim: Running) -> None:
    """Stamped before the last look, listed after it."""
    run(floor)
    happen(sim, 1, ago=timedelta(minutes=3))

    run(floor)

    assert len(kept(floor)) == 1


def test_once_a_day_it_looks_a_day_back(floor: Floor, sim: Running) -> None:
    """Nobody says how late an event may be listed."""
    run(floor)
    happen(sim, 1, ago=timedelta(hours=20))
    run(floor)
    missed = len(kept(floor))
    known = mark(floor) | {"looked_back_at": clock.iso(clock.now() - timedelta(hours=25))}
    with floor.engine.begin() as connection:
        checkpoints.write(connection, f"backfill:{sim.world.workspace_id}", known)

    run(floor)

    assert (missed, len(kept(floor))) == (0, 1)


@pytest.mark.parametrize("ahead", [timedelta(hours=2), timedelta(hours=-2)], ids=["ours-is-slow", "ours-is-fast"])
def test_a_wrong_clock_of_ours_loses_nothing(floor: Floor, sim: Running, ahead: timedelta) -> None:
    """The window ends at Seam's present, by its own clock; and the difference is said."""
    sim.world.now = lambda: datetime.now(UTC) + ahead
    happen(sim, 1, ago=timedelta(minutes=1) - ahead)

    run(floor)
    happen(sim, 1, ago=timedelta(seconds=30) - ahead)
    run(floor)

    assert len(kept(floor)) == 2
    assert floor.findings() == ["clock_skew"]


def test_what_is_no_event_is_kept_for_a_person(floor: Floor, sim: Running) -> None:
    """And keeps no other from being handled."""
    happen(sim, 2)
    broken = sim.world.events[0].body
    del broken["workspace_id"]

    run(floor)

    sources = kept(floor)
    assert len(sources) == 2
    assert [floor.event(each)["status"] for each in sorted(sources) if each.startswith("unreadable-")] == [
        "quarantined"
    ]


def test_an_answer_that_is_not_seams_moves_nothing(floor: Floor, sim: Running) -> None:
    """A proxy's page, an answer without the list, a refusal: the next run begins where this one did."""
    run(floor)
    before = mark(floor)
    happen(sim, 1)
    for fault in ({"kind": "html"}, {"kind": "bare_ok"}, {"status": 401}, {"status": 429}, {"kind": "cut"}):
        sim.world.faults.add(path="/events/list", **fault)
        run(floor)
        sim.world.faults.clear()
    stood = mark(floor)

    run(floor)

    assert stood == before
    assert len(kept(floor)) == 1


def test_a_redis_that_is_emptied_during_a_run_does_not_lose_what_that_run_had_queued(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog sets the watermark back: the run, which knows of nothing, does not move it forward again."""
    watchdog = Watchdog(floor.tools)
    watchdog.look()
    run(floor)
    happen(sim, 600, ago=timedelta(minutes=50), apart=timedelta(seconds=1))
    with floor.engine.begin() as connection:
        checkpoints.write(connection, f"backfill:{sim.world.workspace_id}", {
            "until": clock.iso(clock.now() - timedelta(hours=1)), "looked_back_at": clock.iso(clock.now()),
        })  # fmt: skip
    listed = SeamApi.events

    def emptied(seam: SeamApi, after: datetime, before: datetime, *, offset: int = 0) -> Any:
        if floor.redis.llen("rq:queue:events") and clock.now() - before < timedelta(minutes=45):
            monkeypatch.setattr(SeamApi, "events", listed)
            floor.redis.flushall()
            watchdog.look()
        return listed(seam, after, before, offset=offset)

    monkeypatch.setattr(SeamApi, "events", emptied)
    with suppress(Temporary):
        backfill.by_the_clock(floor.tools)
    assert SeamApi.events is listed

    _count, is_done = backfill.by_the_clock(floor.tools)

    assert is_done
    assert floor.redis.llen("rq:queue:events") == 600


def test_a_mark_in_the_future_is_not_believed(floor: Floor, sim: Running) -> None:
    """Somebody's clock was wrong once: what may have been passed over is looked for, now and each day from now on."""
    run(floor)
    ahead = clock.iso(clock.now() + timedelta(days=400))
    with floor.engine.begin() as connection:
        checkpoints.write(connection, f"backfill:{sim.world.workspace_id}", {"until": ahead, "looked_back_at": ahead})
    happen(sim, 1, ago=timedelta(hours=2))

    run(floor)

    assert len(kept(floor)) == 1
    assert clock.parse(mark(floor)["looked_back_at"]) <= clock.now()
    assert clock.parse(mark(floor)["until"]) <= clock.now()


def test_a_seam_without_offsets_does_not_keep_a_run_busy_for_ever(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`unstable_offset` is what Seam calls it: the same answer again ends the asking."""
    happen(sim, 600)
    listed = SeamApi.events
    calls = []

    def without(seam: SeamApi, after: datetime, before: datetime, *, offset: int = 0) -> Any:
        calls.append(offset)
        assert len(calls) < 100
        return listed(seam, after, before)

    monkeypatch.setattr(SeamApi, "events", without)

    _count, is_done = backfill.by_the_clock(floor.tools)

    assert is_done
    assert floor.redis.llen("rq:queue:events") == 500


def test_an_event_without_a_time_does_not_end_the_listening(floor: Floor, sim: Running) -> None:
    """It is kept for a person, and nothing fails."""
    run(floor)
    happen(sim, 2)
    del sim.world.events[0].body["created_at"]
    sim.world.events[1].body["created_at"] = "yesterday"

    run(floor)

    assert len(kept(floor)) == 2
    with database.reading(floor.engine) as connection:
        rows = connection.execute(select(attempts.c.outcome).where(attempts.c.job == "backfill"))
        assert set(rows.scalars()) == {"ok"}


def test_the_first_start_is_no_silence(floor: Floor, sim: Running) -> None:
    """What happened before anybody listened was not missed by a webhook; what comes later by backfill alone was."""
    happen(sim, 3, ago=timedelta(hours=5))

    run(floor)
    first = floor.findings()
    happen(sim, 1, ago=timedelta(minutes=40))
    with floor.engine.begin() as connection:
        known = checkpoints.read(connection, "silence") | {"listens_since": clock.iso(clock.now() - timedelta(hours=1))}
        checkpoints.write(connection, "silence", known)
        checkpoints.write(connection, f"backfill:{sim.world.workspace_id}", {
            "until": clock.iso(clock.now() - timedelta(hours=1)), "looked_back_at": clock.iso(clock.now()),
        })  # fmt: skip
    run(floor)

    assert (first, floor.findings()) == ([], ["webhook_silent"])


def test_a_redis_that_forgot_when_deliveries_came_is_no_silence(floor: Floor, sim: Running) -> None:
    """What waited in it for long comes back by backfill; when the last delivery was, SQL knows."""
    floor.deliver(event("acs_system.added", acs_system_id=sim.world.acs_system_id))
    run(floor)
    happen(sim, 2, ago=timedelta(hours=2))
    floor.redis.flushall()
    with floor.engine.begin() as connection:
        checkpoints.write(connection, f"backfill:{sim.world.workspace_id}", {
            "until": clock.iso(clock.now() - timedelta(hours=3)), "looked_back_at": clock.iso(clock.now()),
        })  # fmt: skip

    run(floor)

    assert len(kept(floor)) == 3
    assert floor.findings() == []


def test_a_backfill_that_was_a_moment_quicker_than_a_delivery_is_no_silence(floor: Floor, sim: Running) -> None:
    """The delivery comes in the same second; after it nothing happens at Seam for an hour."""
    run(floor)
    since = clock.now() - timedelta(hours=1)
    with floor.engine.begin() as connection:
        checkpoints.write(connection, "silence", {"since": clock.iso(since), "missed": 1, "is_silent": False})
    floor.redis.hset("rq:seamkeeper:counters", "webhook_requests_at", int(since.timestamp()))

    run(floor)

    assert floor.findings() == []


def test_silence_is_said_and_ends_with_a_delivery(floor: Floor, sim: Running) -> None:
    """Events that only a backfill brings, for longer than the setting: one issue, cleared by the next delivery."""
    happen(sim, 2, ago=timedelta(minutes=20))
    run(floor)
    early = floor.findings()
    happen(sim, 1, ago=timedelta(minutes=45))
    with floor.engine.begin() as connection:  # so that it is found although the window ended later
        checkpoints.write(connection, f"backfill:{sim.world.workspace_id}", {
            "until": clock.iso(clock.now() - timedelta(hours=1)), "looked_back_at": clock.iso(clock.now()),
        })  # fmt: skip
        checkpoints.write(connection, "silence", {"since": clock.iso(clock.now() - timedelta(minutes=45)), "missed": 2})
    run(floor)
    said = floor.findings()
    floor.deliver(event("acs_system.added", acs_system_id=sim.world.acs_system_id))
    run(floor)

    assert early == []
    assert said == ["webhook_silent"]
    assert floor.findings() == []


def test_single_losses_are_no_silence(floor: Floor, sim: Running) -> None:
    """While deliveries come, what one of them missed is brought and not said."""
    happen(sim, 3, ago=timedelta(hours=5))
    floor.deliver(event("acs_system.added", acs_system_id=sim.world.acs_system_id))

    run(floor)

    assert floor.findings() == []
    assert sum(source == "backfill" for source in kept(floor).values()) == 3


def test_a_span_that_seam_refuses_ends_with_its_reason(floor: Floor, sim: Running) -> None:
    """Who waits for it is told so, and is not asked whether a worker runs."""
    at = clock.now()
    with floor.engine.begin() as connection:
        name = spans.begin(connection, at - timedelta(days=21), at, is_dry=False, by="a test")
    sim.world.faults.add(status=400, path="/events/list")
    spans.ask(floor.tools.queues, name)

    floor.work()

    with database.reading(floor.engine) as connection:
        span = spans.find(connection, name) or {}
    assert span["state"] == "failed"
    assert "/events/list: 400" in span["reason"]


def test_a_narrow_webhook_is_neither_widened_nor_called_silent(floor: Floor, sim: Running) -> None:
    """Types that nobody asked for are left where they are, and what nobody reacts to is missed by nobody."""
    run(floor)
    with floor.engine.begin() as connection:
        registration.write(connection, registration.Registration(event_types=("lock.locked",)))
    happen(sim, 1, ago=timedelta(minutes=2))
    at = clock.now().replace(microsecond=0) - timedelta(minutes=2)
    for kind in ("lock.locked", "lock.unlocked"):
        stamp = clock.iso(at)
        sim.world.events.append(Event(at, event(kind, created_at=stamp, occurred_at=stamp)))

    count, _ = backfill.by_the_clock(floor.tools)

    assert (count.listed, count.brought, count.missed) == (3, 2, 1)


def test_a_span_of_a_person(floor: Floor, sim: Running) -> None:
    """Further back than the clock looks; what is there already is skipped, and the dry run queues nothing."""
    happen(sim, 5, ago=timedelta(days=20))
    at = clock.now()
    found = []
    for is_dry in (True, False, False):
        with floor.engine.begin() as connection:
            name = spans.begin(connection, at - timedelta(days=21), at, is_dry=is_dry, by="a test")
        spans.ask(floor.tools.queues, name)
        floor.work()
        with database.reading(floor.engine) as connection:
            span = spans.find(connection, name) or {}
        found.append((span["state"], span["listed"], span["brought"]))

    assert found == [("done", 5, 5), ("done", 5, 5), ("done", 5, 0)]
    with database.reading(floor.engine) as connection:
        assert connection.execute(select(func.count()).select_from(events)).scalar_one() == 5
