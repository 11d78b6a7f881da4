"""T5: everything is killed, frozen, filled up and restarted under traffic; what was acknowledged is not lost.

The sender follows Svix's schedule on a quick clock. While the chaos lasts `/events/list` fails, so that the backfill
cannot hide what the queue lost. What Redis itself forgot when it was killed is named after each restart: with
`appendfsync always` nothing, with `everysec` what it answered while the disk was slow; the backfill brings that.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import create_engine, select, text

from seamkeeper import database
from seamkeeper.database import events
from seamkeeper.keys import Keys
from simulator.serve import Running, running
from simulator.world import World
from tests.conftest import SECRET
from tests.redis_servers import OwnRedis, own_redis
from tests.stack import Stack, eventually, kill, none_left, stack


@dataclass
class Chaos:
    """What goes wrong, one thing after the other, each counted."""

    deployment: Stack
    server: OwnRedis
    sim: Running
    chance: random.Random
    done: dict[str, int] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)

    def one(self, kind: str) -> None:
        """And it is put right again at once, as an orchestrator would."""
        self.done[kind] = self.done.get(kind, 0) + 1
        doing: dict[str, Callable[[], None]] = {
            "receiver": lambda: self._kill("receiver"),
            "worker": lambda: self._kill("worker"),
            "redis": self._kill_redis,
            "freeze": self._freeze,
            "full": self._fill,
            "database": self._cut_database,
        }
        doing[kind]()

    def _kill(self, name: str) -> None:
        kill(self.deployment.running.pop(name))
        self.start(name)

    def start(self, name: str) -> None:
        """The process, anew."""
        if name == "receiver":
            self.deployment.start("receiver", "receiver", "--port", str(self.deployment.port), "--workers", "2")
        else:
            self.deployment.start("worker", "workers", "worker")

    def _kill_redis(self) -> None:
        self.server.kill()
        time.sleep(self.chance.uniform(0, 1))
        self.server.start()
        taken = sorted(acknowledged(self.sim))
        with self.server.client() as redis:
            remembered = redis.mget([Keys().seen(event_id) for event_id in taken])
        self.forgotten |= {event_id for event_id, found in zip(taken, remembered, strict=True) if found is None}

    def _freeze(self) -> None:
        with self.server.frozen():
            time.sleep(self.chance.uniform(1, 3))

    def _fill(self) -> None:
        """`maxmemory` is reached: every write is refused."""
        with self.server.client() as redis:
            redis.config_set("maxmemory", 1)
            time.sleep(self.chance.uniform(0.5, 2))
            eventually(lambda: self._has_room(redis), what="room in Redis")

    def _has_room(self, redis: Redis) -> bool:
        try:
            return bool(redis.config_set("maxmemory", 0))
        except RedisError:
            return False

    def _cut_database(self) -> None:
        """Every connection ends, as with a restart of the server."""
        engine = create_engine(self.deployment.environ["DATABASE_URL"])
        with engine.connect() as connection:
            mine = "pid <> pg_backend_pid() AND datname = current_database()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))  # noqa: S608
        engine.dispose()


def acknowledged(sim: Running) -> set[str]:
    """The events whose delivery was answered with success."""
    return {each.event_id for each in sim.world.outbox.attempts() if each.status in (200, 204)}


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam whose retries come a hundred times as often."""
    with running(World(users=1, seed=5, speed=100, kept=1_000_000)) as simulator:
        yield simulator


_PROOF = [pytest.mark.proof, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("size", "rounds", "fsync"),
    [
        pytest.param(400, 1, "always", id="few", marks=pytest.mark.timeout(600)),
        pytest.param(100_000, 30, "everysec", id="everysec", marks=_PROOF),
        pytest.param(100_000, 30, "always", id="always", marks=_PROOF),
    ],
)
def test_nothing_that_was_acknowledged_is_lost(
    environment: dict[str, str], sim: Running, tmp_path: Path,
    size: int, rounds: int, fsync: str,
) -> None:  # fmt: skip
    """Each round kills receivers twice, workers twice and Redis once, freezes it, fills it, and cuts the database."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    sim.world.faults.add(status=500, path="/events/list")
    people = [sim.world.add_user() for _ in range(50)]
    with own_redis(fsync=fsync) as server, ExitStack() as at_the_end:
        told = {
            "REDIS_URL": server.url, "SEAMKEEPER_SEAM_RATE": "5000", "SEAMKEEPER_SEAM_BURST": "5000",
            "SEAMKEEPER_REDIS_WAIT_SECONDS": "1", "SEAMKEEPER_MAINTENANCE_SECONDS": "2",
            "SEAMKEEPER_RETRY_DELAYS": "1,1,2,3,5,5,5,10,10,30,30,60,60",
        }  # fmt: skip
        deployment = at_the_end.enter_context(stack(environment, tmp_path, seam=sim, **told))
        deployment.start_receiver("--workers", "2")
        deployment.start_workers()
        sim.world.add_webhook(f"http://127.0.0.1:{deployment.port}/webhooks/seam", secret=SECRET)
        chaos = Chaos(deployment, server, sim, chance)
        steps = ["receiver", "worker", "redis", "freeze", "full", "database", "receiver", "worker"] * rounds
        chance.shuffle(steps)
        for step in steps:
            for _ in range(size // len(steps)):
                sim.world.issue_credential(chance.choice(people))
            chaos.one(step)
            time.sleep(chance.uniform(0, 1))
        assert sim.world.outbox.wait_until_idle(timeout=size / 100 + 120)

        engine = database.open_engine(environment["DATABASE_URL"])
        at_the_end.callback(engine.dispose)

        def not_done(wanted: set[str]) -> dict[str, str]:
            with database.reading(engine) as connection:
                rows = connection.execute(select(events.c.event_id, events.c.status))
                known = {row.event_id: row.status for row in rows}
            return {event_id: known.get(event_id, "unknown") for event_id in wanted if known.get(event_id) != "done"}

        taken = acknowledged(sim)
        history = {
            "seed": seed, "fsync": fsync, "events": len(sim.world.events), "chaos": chaos.done,
            "acknowledged": len(taken), "forgotten by Redis": len(chaos.forgotten),
        }  # fmt: skip
        assert fsync == "everysec" or not chaos.forgotten, history
        none_left(lambda: not_done(taken - chaos.forgotten), within=size / 50 + 150, what=f"all it took ({history})")

        print("\nT5", json.dumps(history | {"acknowledged and lost": len(not_done(taken - chaos.forgotten))}))
        sim.world.faults.clear()
        everything = {str(each.body["event_id"]) for each in sim.world.events}
        if taken - chaos.forgotten < everything:  # or a delivery used up its tries: what the backfill is for
            deployment.seamkeeper("backfill", "--since", "1h")
            none_left(
                lambda: not_done(everything), within=size / 500 + 120, what=f"the rest, by a backfill ({history})"
            )
