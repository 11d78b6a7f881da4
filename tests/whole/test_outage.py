"""T15: an outage longer than Svix tries, and lost deliveries; after it every event is there, once, by itself.

Seam's time is virtual: its clock begins hours in the past and moves on by hours, its signatures are of now.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from seamkeeper import database
from seamkeeper.database import acs_users, events
from simulator.serve import Running, running
from simulator.world import World
from tests.conftest import SECRET
from tests.stack import Stack, eventually, stack

OUTAGE = timedelta(hours=30)


@dataclass
class Time:
    """Seam's: so far behind ours."""

    behind: timedelta = OUTAGE + timedelta(hours=1)

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind


@pytest.fixture
def time() -> Time:
    """Begins an hour before the outage."""
    return Time()


@pytest.fixture
def sim(time: Time) -> Iterator[Running]:
    """A Seam whose clock can be moved, and whose retries are over within a second."""
    with running(World(users=1, seed=15, now=time.now, speed=1e6)) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Everything as it runs, only that the clock of the schedules is quick."""
    quick = {
        "SEAMKEEPER_REREAD_DELAYS": "1,1,2,5,10",
        "SEAMKEEPER_SEAM_RATE": "2000",
        "SEAMKEEPER_SEAM_BURST": "4000",
        "SEAMKEEPER_BACKFILL_MINUTES": "0.05",
        "SEAMKEEPER_RESYNC_MINUTES": "0.05",
    }
    with stack(environment, tmp_path, seam=sim, **quick) as found:
        yield found


class Life:
    """What happens to people at Seam: they come, are edited (without an event), get keys, and go."""

    def __init__(self, sim: Running, seed: int) -> None:
        self._world, self._chance, self._people = sim.world, random.Random(seed), list[str]()

    def happen(self) -> None:
        """One happening; nearly all of them are an event."""
        what = self._chance.random()
        if what < 0.3 or len(self._people) < 5:
            self._people.append(self._world.add_user(announce=True))
        elif what < 0.5:
            self._world.delete_at_provider(self._people.pop(self._chance.randrange(len(self._people))))
        else:
            someone = self._chance.choice(self._people)
            self._world.edit_at_provider(someone, phone_number=f"+1206555{self._chance.randrange(10**4):04}")
            self._world.issue_credential(someone)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(400, id="few", marks=pytest.mark.timeout(600)),
        pytest.param(10_000, id="ten-thousand", marks=[pytest.mark.proof, pytest.mark.timeout(1800)]),
    ],
)
def test_an_outage_of_thirty_hours(deployment: Stack, sim: Running, time: Time, size: int) -> None:
    """5 % of the deliveries lost before and after it, all of them during it: the journal holds every event once, and
    the mirror is what Seam holds."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    life = Life(sim, seed)
    engine = database.open_engine(deployment.environ["DATABASE_URL"])
    sim.world.outbox.settings.loss = 0.05
    deployment.start_receiver()
    deployment.start_workers()
    sim.world.add_webhook(f"http://127.0.0.1:{deployment.port}/webhooks/seam", secret=SECRET)

    def known() -> Counter[str]:
        with database.reading(engine) as connection:
            rows = connection.execute(select(events.c.event_id, events.c.status))
            return Counter(row.event_id for row in rows if row.status in ("done", "ignored"))

    def is_all_known() -> bool:
        return set(known()) == {str(each.body["event_id"]) for each in sim.world.events}

    def differs() -> list[str]:
        with database.reading(engine) as connection:
            rows = connection.execute(select(acs_users.c.acs_user_id, acs_users.c.observed, acs_users.c.deleted_at))
            held = {row.acs_user_id: row.observed for row in rows if row.deleted_at is None}
        live = {name: sim.world.user(name) for name in list(sim.world.users)}
        return sorted(name for name in {*held, *live} if _plain(held.get(name)) != _plain(live.get(name)))

    for _ in range(size // 4):
        life.happen()
    eventually(is_all_known, within=size / 10 + 60, what=f"before the outage, all events (seed {seed})")

    receiver = deployment.running.pop("receiver")
    receiver.kill()
    receiver.wait()
    for _ in range(size // 2):
        time.behind -= OUTAGE / (size // 2)
        life.happen()
    assert sim.world.outbox.wait_until_idle(timeout=size / 50 + 60)
    time.behind = timedelta(0)
    deployment.start_receiver()
    for _ in range(size // 4):
        life.happen()
    eventually(is_all_known, within=size / 10 + 120, what=f"all events (seed {seed})")
    eventually(lambda: not differs(), within=size / 10 + 120, what=f"the mirror as Seam (seed {seed})")

    assert set(known().values()) == {1}
    assert deployment.port  # the receiver took deliveries again at the same address
    engine.dispose()


def _plain(raw: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if raw is None else {name: value for name, value in raw.items() if name != "last_successful_sync_at"}
