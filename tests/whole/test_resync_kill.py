"""A resync whose worker is killed goes on from its page, on real processes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, func, select

from seamkeeper import database
from seamkeeper.database import acs_users
from seamkeeper.keys import Keys
from simulator.serve import Running, running
from tests.stack import Stack, eventually, kill, stack

PAGES, PAGE = 8, 500
LIST = "/acs/users/list"


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam with eight pages of people."""
    with running(users=PAGES * PAGE, seed=9) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Nothing is started yet."""
    with stack(environment, tmp_path, seam=sim) as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_killed_worker_does_not_begin_anew(deployment: Stack, sim: Running, redis: Redis, engine: Engine) -> None:
    """`kill -9` in the middle: the pages that were done are not asked for again, and everybody is in the mirror."""
    sim.world.faults.add("slow", seconds=2.5, path=LIST)
    deployment.start_workers("--concurrency", "4")
    deployment.seamkeeper("sync", "--all", "--no-wait")
    place = Keys().resync_pass(sim.world.acs_system_id)
    eventually(lambda: int(redis.hget(place, "pages") or 0) >= 3, what="three pages")

    kill(deployment.running.pop("worker"))
    done = int(redis.hget(place, "pages") or 0)
    asked = len(sim.world.requests.list(LIST))
    sim.world.faults.clear()
    deployment.start("worker", "workers", "worker")

    def held() -> int:
        with database.reading(engine) as connection:
            return int(connection.execute(select(func.count()).select_from(acs_users)).scalar_one())

    eventually(lambda: held() == PAGES * PAGE and not redis.exists(place), within=200, what="everybody")
    cursors = [seen.params.get("page_cursor") for seen in sim.world.requests.list(LIST)[asked:]]
    # The clock may have asked for a pass, too: one more, from its first page, after the end of the one that was killed.
    rest = list(takewhile(lambda cursor: cursor is not None, cursors))
    assert PAGES - done <= len(rest) <= PAGES - done + 1
