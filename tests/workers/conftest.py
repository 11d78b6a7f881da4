"""The workers' side in this process: a Seam to call, real jobs run by RQ's own worker, and a look at what became."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis
from rq import Queue, Retry, SimpleWorker
from rq.registry import FailedJobRegistry, ScheduledJobRegistry
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty
from sqlalchemy import Engine

from seamkeeper import clock, database, desired, issues, journal, mirror, settings
from seamkeeper.accept import WEBHOOK, accept, event_job
from seamkeeper.queues import QUEUES
from seamkeeper.rqjob import Job
from simulator.serve import Running, running
from tests.signing import body_of, event
from workers import tools as tools_module
from workers.tools import Tools, make_tools


@pytest.fixture(scope="session")
def sim_server() -> Iterator[Running]:
    """One simulator for all tests of the workers; each uses users of its own."""
    with running(users=1, seed=1) as simulator:
        yield simulator


@pytest.fixture
def sim(sim_server: Running) -> Iterator[Running]:
    """Without faults, delays and memories of other tests."""
    world = sim_server.world
    world.faults.clear()
    world.requests.clear()
    world.events.clear()
    world.settings.failures = 0
    world.settings.is_holding = False
    world.settings.pending_seconds = 0
    yield sim_server
    world.faults.clear()


@pytest.fixture
def environ(sim: Running, redis_url: str, database_url: str) -> dict[str, str]:
    """The variables of these workers; no time is wasted between tries."""
    return {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "SEAM_API_KEY": sim.api_key,
        "SEAM_ENDPOINT": sim.url,
        "SEAMKEEPER_RETRY_DELAYS": "1,1,1",
        "SEAMKEEPER_LOG_FORMAT": "json",
    }


@pytest.fixture
def tools(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Tools]:
    """The tools that jobs of this process will find."""
    tools = make_tools(settings.load(environ))
    monkeypatch.setattr(tools_module, "_made", {os.getpid(): tools})
    yield tools
    tools.engine.dispose()
    tools.queues.redis.close()
    tools.seam.close()


class _Worker(SimpleWorker):
    """RQ's own, without its signal-based time-outs and handlers, and without the channel for orders from outside, whose
    thread takes a tenth of a second to end."""

    death_penalty_class = TimerDeathPenalty

    def subscribe(self) -> None:
        return

    def _install_signal_handlers(self) -> None:
        return


@dataclass
class Floor:
    """Runs what waits, and shows what became."""

    redis: Redis
    engine: Engine
    tools: Tools

    def work(self, *, include_later: bool = True, rounds: int = 20) -> None:
        """Runs everything that waits, and what is scheduled as if its time had come, until nothing is left."""
        for _ in range(rounds):
            if include_later:
                self.pull_forward()
            if not any(self.redis.llen(f"rq:queue:{name}") for name in QUEUES):
                return
            queues = [Queue(name, connection=self.redis, serializer=JSONSerializer) for name in QUEUES]
            _Worker(queues, connection=self.redis, serializer=JSONSerializer).work(burst=True, logging_level="ERROR")

    def pull_forward(self) -> int:
        """What is scheduled is due now; gives its number."""
        moved = 0
        for name in QUEUES:
            registry = ScheduledJobRegistry(name, connection=self.redis, serializer=JSONSerializer)
            for job_id in registry.get_job_ids():
                registry.remove(job_id)
                self.redis.hset(f"rq:job:{job_id}", "status", "queued")
                is_at_front = self.redis.hget(f"rq:job:{job_id}", "enqueue_at_front") == b"1"
                (self.redis.lpush if is_at_front else self.redis.rpush)(f"rq:queue:{name}", job_id)
                moved += 1
        return moved

    def receive(self, payload: dict[str, Any]) -> str:
        """Puts an event into the queue as the receiver would, and gives its event_id."""
        body = body_of(payload).decode()
        kind, name = str(payload["event_type"]), str(payload["event_id"])
        self.enqueue(event_job(name, kind, body, received_at=clock.now(), source="webhook", delivery="msg_test"))
        return name

    def enqueue(self, job: Job) -> None:
        """Into the queue `events`, with three tries."""
        queue = Queue("events", connection=self.redis, serializer=JSONSerializer)
        queue.enqueue(job.function, kwargs=dict(job.arguments), job_id=job.job_id, retry=Retry(3, [1, 1, 1]))

    def happened(self, event_type: str, acs_user_id: str, **fields: Any) -> dict[str, Any]:
        """An event about this user arrived, everything it led to was done; gives `events show`."""
        name = self.receive(event(event_type, acs_user_id=acs_user_id, **fields))
        self.work()
        return self.event(name)

    def event(self, event_id: str) -> dict[str, Any]:
        """`events show`."""
        with database.reading(self.engine) as connection:
            found = journal.find_event(connection, event_id)
        assert found is not None
        return found

    def user(self, acs_user_id: str) -> dict[str, Any]:
        """`users show`."""
        with database.reading(self.engine) as connection:
            found = mirror.find_user(connection, acs_user_id)
        assert found is not None
        return found

    def want(self, acs_user_id: str, **values: Any) -> None:
        """`desired set`."""
        with self.engine.begin() as connection:
            desired.set_desired(connection, acs_user_id, values, by="a test")

    def deliver(self, payload: dict[str, Any]) -> str:
        """The same through the receiver's own way into Redis, which remembers and counts; gives its event_id."""
        kind, name = str(payload["event_type"]), str(payload["event_id"])
        job = event_job(
            name, kind, body_of(payload).decode(), received_at=clock.now(), source="webhook", delivery="msg_test"
        )
        accept(self.tools.queues, [(name, job)], dedupe=self.tools.settings.dedupe, counter=WEBHOOK)
        return name

    def findings(self) -> list[str]:
        """Codes of the open findings about no user."""
        with database.reading(self.engine) as connection:
            found = issues.list_issues(connection, limit=500)
        return sorted(issue["code"] for issue in found if issue["kind"] == "finding" and not issue["acs_user_id"])

    def failed(self) -> list[str]:
        """Ids in RQ's failed registries."""
        return [job_id for name in QUEUES for job_id in FailedJobRegistry(name, connection=self.redis).get_job_ids()]


@pytest.fixture
def floor(redis: Redis, engine: Engine, tools: Tools) -> Floor:
    """The workers' floor."""
    return Floor(redis, engine, tools)


@pytest.fixture
def acs_system_id(sim: Running) -> str:
    """An access system of this test's own: who went in other tests does not count."""
    return sim.world.add_system("Test House")
