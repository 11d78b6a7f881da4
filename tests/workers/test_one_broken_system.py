"""One access system that hangs does not slow the others: real worker processes, both ways in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from redis import Redis

from seamkeeper import clock
from seamkeeper.keys import Keys
from seamkeeper.queues import RECONCILE, Queues
from seamkeeper.rqjob import Terms
from simulator.serve import Running, running
from tests.stack import eventually, stack

ANSWER = 0.2  # seconds that Seam takes for each proper answer
HANG = 60.0  # longer than any time-out

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def seam() -> Iterator[Running]:
    """One of its own: answers that hang would be answered, and seen, during other tests."""
    with running(seed=1) as found:
        yield found


@dataclass(frozen=True)
class Building:
    """Two access systems, asked for at these rates (users per second) for this long."""

    sim: Running
    queues: Queues
    well: list[str]
    other: list[str]
    other_system: str
    rates: tuple[float, float]
    seconds: float
    timeout: float

    def p95(self, *, is_broken: bool) -> float:
        """How long users of the first system waited for their answer, from the ask on, while the other one was well or
        hung. Begins when nothing of the time before hangs any more, with closed circuits."""
        world = self.sim.world
        world.faults.clear()
        time.sleep(self.timeout + 1)
        for key in self.queues.redis.keys("rq:seamkeeper:circuit*"):
            self.queues.redis.delete(key)
        eventually(lambda: not self.queues.redis.exists(self.queues.keys.queue(RECONCILE)), what="an empty queue")
        if is_broken:
            world.faults.add("slow", seconds=HANG, acs_system_id=self.other_system)
        world.faults.add("slow", seconds=ANSWER)
        world.requests.clear()
        asked = self._ask()
        time.sleep(3)
        waits = [self._waited(name, at) for name, at in asked]
        return statistics.quantiles(waits, n=20)[-1]

    def _ask(self) -> list[tuple[str, datetime]]:
        began, asked, counts = time.monotonic(), [], [0, 0]
        while (passed := time.monotonic() - began) < self.seconds:
            for index, people in enumerate((self.well, self.other)):
                while counts[index] < passed * self.rates[index]:
                    name = people[counts[index] % len(people)]
                    counts[index] += 1
                    if index == 0:
                        asked.append((name, clock.now()))
                    self.queues.ask_reconcile(name, why="a test", source="webhook")
            time.sleep(0.005)
        return asked

    def _waited(self, acs_user_id: str, asked_at: datetime) -> float:
        for seen in self.sim.world.requests.list("/acs/users/get"):
            if seen.params.get("acs_user_id") == acs_user_id and seen.at >= asked_at:
                return (seen.at - asked_at).total_seconds() + seen.seconds
        return HANG


def ratios(
    sim: Running, redis: Redis, environment: Mapping[str, str], folder: Path, *, processes: int,
    rates: tuple[float, float], seconds: float, rounds: int, timeout: float, enough: float = 0,
) -> list[float]:  # fmt: skip
    """The p95 of the first system's users with the other one broken, as a multiple of that with it well; by round.
    None is added to one that is below `enough`."""
    world = sim.world
    queues = Queues(redis, keys=Keys(), terms=Terms())
    systems = [world.add_system("Well House"), world.add_system("Other House")]
    people = [[world.add_user(acs_system_id=system) for _ in range(int(rate * 5))] for system, rate in
              zip(systems, rates, strict=True)]  # fmt: skip
    building = Building(sim, queues, people[0], people[1], systems[1], rates, seconds, timeout)
    environ = {
        **environment, "SEAM_API_KEY": sim.api_key, "SEAM_ENDPOINT": sim.url,
        "SEAMKEEPER_SEAM_TIMEOUT_SECONDS": str(timeout), "SEAMKEEPER_SEAM_RATE": "1000",
    }  # fmt: skip
    with stack(environ, folder) as found:
        found.start_workers("--processes", str(processes), "--concurrency", "32")
        for name in (*people[0], *people[1]):  # held, so that their access system is known
            queues.ask_reconcile(name, why="a test", source="webhook")
        eventually(
            lambda: (
                len(world.requests.list("/acs/users/get")) >= len(people[0]) + len(people[1])
                and not redis.exists(Keys().queue(RECONCILE))
            ),
            what="the first look at all users",
        )
        found_ratios = []
        for _ in range(rounds):
            well, broken = building.p95(is_broken=False), building.p95(is_broken=True)
            print(f"p95 of the others: {well:.3f} s with all systems well, {broken:.3f} s with one that hangs")
            found_ratios.append(broken / well)
            if found_ratios[-1] < enough:
                break
        world.faults.clear()
    return found_ratios


def test_a_system_that_hangs_leaves_the_others_alone(
    seam: Running, redis: Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    """Fast size: 20 users a second of a hanging system would hold 60 threads of 32, and the others wait for seconds.

    The bound is looser than the promise: the p95 of 60 looks is three unlucky ones on a machine that is busy otherwise.
    One that stands still for a second makes a round tell nothing, so another may be played: where the others do wait
    for threads, they do so in every round.
    """
    found = ratios(
        seam, redis, environment, tmp_path, processes=1, rates=(10, 20), seconds=6, rounds=5, timeout=3, enough=3
    )  # fmt: skip

    assert found[-1] < 3, found


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_a_system_that_hangs_leaves_the_others_p95_within_ten_percent(
    seam: Running, redis: Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    """T9 at its size: two processes, the default time-out, the median of three rounds."""
    found = ratios(
        seam, redis, environment, tmp_path, processes=2, rates=(10, 20), seconds=45, rounds=3, timeout=10
    )  # fmt: skip

    assert statistics.median(found) <= 1.1
