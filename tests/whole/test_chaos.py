"""T5: everything is killed, frozen, filled up and restarted under traffic; what was acknowledged is not lost.

The sender follows Svix's schedule on a quick clock. While the chaos lasts `/events/list` fails, so that the backfill
cannot hide what the queue lost.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import create_engine, select, text

from console import embedded_redis
from seamkeeper import database
from seamkeeper.database import events
from simulator.serve import Running, running
from simulator.world import World
from tests.conftest import SECRET
from tests.stack import Stack, eventually, stack


@dataclass
class Chaos:
    """What goes wrong, one thing after the other, each counted."""

    deployment: Stack
    server: embedded_redis.EmbeddedRedis
    folder: Path
    chance: random.Random
    fsync: str
    done: dict[str, int] = field(default_factory=dict)

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
        process = self.deployment.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.start(name)

    def start(self, name: str) -> None:
        """The process, anew."""
        if name == "receiver":
            self.deployment.start("receiver", "receiver", "--port", str(self.deployment.port), "--workers", "2")
        else:
            self.deployment.start("worker", "workers", "worker")

    def _kill_redis(self) -> None:
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGKILL)
        self.server.stop()
        time.sleep(self.chance.uniform(0, 1))
        self.server = embedded_redis.start(self.folder)
        self.client().config_set("appendfsync", self.fsync)

    def _freeze(self) -> None:
        assert self.server.process is not None
        os.kill(self.server.process.pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(1, 3))
        os.kill(self.server.process.pid, signal.SIGCONT)

    def _fill(self) -> None:
        """`maxmemory` is reached: every write is refused."""
        self.client().config_set("maxmemory", 1)
        time.sleep(self.chance.uniform(0.5, 2))
        eventually(self._has_room, within=20, what="room in Redis")

    def _has_room(self) -> bool:
        try:
            return bool(self.client().config_set("maxmemory", 0))
        except RedisError:
            return False

    def _cut_database(self) -> None:
        """Every connection ends, as with a restart of the server."""
        engine = create_engine(self.deployment.environ["DATABASE_URL"])
        with engine.connect() as connection:
            mine = "pid <> pg_backend_pid() AND datname = current_database()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))  # noqa: S608
        engine.dispose()

    def client(self) -> Redis:
        """Of the server that runs now."""
        return Redis(unix_socket_path=str(self.server.socket), socket_timeout=10)


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
        pytest.param(400, 1, "everysec", id="few", marks=pytest.mark.timeout(300)),
        pytest.param(100_000, 30, "everysec", id="everysec", marks=_PROOF),
        pytest.param(100_000, 30, "always", id="always", marks=_PROOF),
    ],
)
def test_nothing_that_was_acknowledged_is_lost(
    environment: dict[str, str], sim: Running, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
    size: int, rounds: int, fsync: str,
) -> None:  # fmt: skip
    """Each round kills receivers twice, workers twice and Redis once, freezes it, fills it, and cuts the database."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("r")
    server = embedded_redis.start(folder)
    told = {
        **environment, "REDIS_URL": server.url, "SEAM_API_KEY": sim.api_key, "SEAM_ENDPOINT": sim.url,
        "SEAMKEEPER_SEAM_RATE": "5000", "SEAMKEEPER_SEAM_BURST": "5000", "SEAMKEEPER_REDIS_WAIT_SECONDS": "1",
        "SEAMKEEPER_RETRY_DELAYS": "1,1,2,3,5,5,5,10,10,30,30,60,60", "SEAMKEEPER_MAINTENANCE_SECONDS": "2",
    }  # fmt: skip
    sim.world.faults.add(status=500, path="/events/list")
    people = [sim.world.add_user() for _ in range(50)]
    with stack(told, tmp_path) as deployment:
        deployment.start_receiver("--workers", "2")
        deployment.start_workers()
        sim.world.add_webhook(f"http://127.0.0.1:{deployment.port}/webhooks/seam", secret=SECRET)
        chaos = Chaos(deployment, server, folder, chance, fsync)
        steps = ["receiver", "worker", "redis", "freeze", "full", "database", "receiver", "worker"] * rounds
        chance.shuffle(steps)
        for step in steps:
            for _ in range(size // len(steps)):
                sim.world.issue_credential(chance.choice(people))
            chaos.one(step)
            time.sleep(chance.uniform(0, 1))
        assert sim.world.outbox.wait_until_idle(timeout=size / 100 + 120)
        acknowledged = {each.event_id for each in sim.world.outbox.attempts() if each.status in (200, 204)}

        engine = database.open_engine(told["DATABASE_URL"])

        def not_done() -> list[str]:
            with database.reading(engine) as connection:
                rows = connection.execute(select(events.c.event_id).where(events.c.status == "done"))
                done = {row.event_id for row in rows}
            return sorted(acknowledged - done)

        history = {"seed": seed, "fsync": fsync, "events": len(sim.world.events), "chaos": chaos.done}
        eventually(lambda: not not_done(), within=size / 50 + 150, what=f"all that was acknowledged ({history})")

        history |= {"acknowledged": len(acknowledged), "acknowledged and lost": len(not_done())}
        print("\nT5", json.dumps(history))
        sim.world.faults.clear()
        everything = {str(each.body["event_id"]) for each in sim.world.events}
        if len(acknowledged) < len(everything):  # a delivery that used up its tries: what the backfill is for
            deployment.seamkeeper("backfill", "--since", "1h")
            acknowledged = everything
            eventually(lambda: not not_done(), within=120, what=f"the rest, by a backfill ({history})")
        engine.dispose()
    chaos.server.stop()
