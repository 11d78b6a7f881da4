"""T6 on real processes: Redis is emptied under traffic; nothing is restarted, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import select

from seamkeeper import database
from seamkeeper.database import acs_users, events
from seamkeeper.keys import Keys
from seamkeeper.queues import EVENTS
from simulator.serve import Running, running
from simulator.world import World
from tests.conftest import SECRET
from tests.stack import Stack, eventually, none_left, stack


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own."""
    with running(World(users=1, seed=6)) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Everything as it runs."""
    with stack(environment, tmp_path, seam=sim, SEAMKEEPER_SEAM_RATE="1000") as found:
        yield found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "times",
    [pytest.param(1, id="once"), pytest.param(20, id="twenty", marks=[pytest.mark.proof, pytest.mark.timeout(1800)])],
)
def test_a_redis_that_is_emptied_under_traffic(deployment: Stack, sim: Running, redis: Redis, times: int) -> None:
    """Every event that was accepted is done, once; the workers and the scheduler are known to Redis again."""
    deployment.start_receiver()
    deployment.start_workers()
    sim.world.add_webhook(f"http://127.0.0.1:{deployment.port}/webhooks/seam", secret=SECRET)
    engine = database.open_engine(deployment.environ["DATABASE_URL"])
    keys = Keys()

    def undone() -> set[str]:
        with database.reading(engine) as connection:
            rows = connection.execute(select(events.c.event_id).where(events.c.status == "done"))
            done = {row.event_id for row in rows}
        return {str(each.body["event_id"]) for each in sim.world.events} - done

    def unread(people: list[str]) -> set[str]:
        """An event is done when its user's look is asked for; the looks that Redis forgot come by the resync."""
        with database.reading(engine) as connection:
            rows = connection.execute(select(acs_users.c.acs_user_id))
            return set(people) - set(rows.scalars())

    for _ in range(times):
        people = [sim.world.add_user(announce=True) for _ in range(60)]
        eventually(lambda: redis.llen(keys.queue(EVENTS)) or not undone(), what="the first of them")
        redis.flushall()
        people += [sim.world.add_user(announce=True) for _ in range(20)]
        none_left(undone, within=150, what="every event")
        none_left(lambda people=people: unread(people), within=150, what="every user")

    eventually(lambda: redis.scard(keys.workers()) > 0, what="a worker that Redis knows")
    eventually(lambda: redis.exists(keys.scheduler_lock(EVENTS)), what="a scheduler that acts")
    assert all(process.poll() is None for process in deployment.running.values())
    engine.dispose()
