"""The whole way on real processes: a signed request in, a repaired person at Seam, and what happens under kills."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis
from rq.registry import StartedJobRegistry

from simulator.serve import Running, running
from tests.redis_servers import own_redis
from tests.signing import event
from tests.stack import Stack, eventually, kill, stack


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own."""
    with running(users=1, seed=5) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Processes that talk to the simulator; nothing is started yet."""
    with stack(environment, tmp_path, seam=sim, SEAMKEEPER_REREAD_DELAYS="1,1,2,5,10") as found:
        yield found


def test_a_signed_webhook_ends_as_a_repaired_person(deployment: Stack, sim: Running) -> None:
    """Receiver, queue, worker, Seam, mirror: by the command line's own words."""
    deployment.start_receiver()
    deployment.start_workers()
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550222")
    deployment.seamkeeper("desired", "set", acs_user_id, "phone_number=+15555550100", "full_name=Jack Doe")
    payload = event("acs_user.created", acs_user_id=acs_user_id, acs_system_id=sim.world.acs_system_id)

    status = deployment.post(payload)

    assert status == 204
    user = eventually(lambda: _in_sync(deployment, acs_user_id), what="in_sync")
    assert user["observed"]["phone_number"] == "+15555550100"
    assert set(user) >= {
        "acs_user_id", "acs_system_id", "sync", "health", "observed", "desired", "drift", "issues", "read_at",
    }  # fmt: skip
    assert [seen.params for seen in sim.world.requests.list("/acs/users/update")] == [
        {"acs_user_id": acs_user_id, "phone_number": "+15555550100"}
    ]
    shown = eventually(lambda: _done(deployment, payload["event_id"]), what="done")
    assert set(shown) >= {
        "event_id", "event_type", "status", "source", "occurred_at", "received_at", "settled_at", "reason",
        "attempts", "body",
    }  # fmt: skip


def _in_sync(deployment: Stack, acs_user_id: str) -> dict[str, object] | None:
    user = deployment.shown("users", acs_user_id)
    return user if user.get("sync") == "in_sync" else None


def _done(deployment: Stack, event_id: str) -> dict[str, object] | None:
    shown = deployment.shown("events", event_id)
    return shown if shown.get("status") == "done" else None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_stock_rq_worker_runs_every_job(deployment: Stack, sim: Running) -> None:
    """`rq worker -S json` is all that is needed: the jobs are RQ's own."""
    deployment.start_receiver()
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    deployment.seamkeeper("desired", "set", acs_user_id, "full_name=Jane Doe")
    deployment.post(event("acs_user.created", acs_user_id=acs_user_id))

    for queue in ("events", "reconcile"):
        url = deployment.environ["REDIS_URL"]
        worker = deployment.start("rq", "rq.cli", "worker", "-S", "json", "-u", url, "--burst", queue)
        assert worker.wait(60) == 0

    assert sim.world.requests.list("/acs/users/update")[0].params["full_name"] == "Jane Doe"
    assert deployment.shown("users", acs_user_id)["sync"] == "applying"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_redis_away_and_back_under_traffic(environment: dict[str, str], tmp_path: Path) -> None:
    """503 while it is away, 204 again by itself; every event that was answered 204 is queued, once."""
    told = {**environment, "SEAMKEEPER_REDIS_WAIT_SECONDS": "0.3"}
    answers: dict[str, list[int]] = {}
    is_over = threading.Event()

    with (
        own_redis() as server,
        stack(told, tmp_path, REDIS_URL=server.url) as deployment,
        server.client() as client,
    ):
        deployment.start_receiver("--workers", "2")

        def deliver() -> None:
            """As Svix does: the same event again until it is taken."""
            while not is_over.is_set():
                payload = event()
                heard = answers.setdefault(payload["event_id"], [])
                while heard[-1:] != [204] and len(heard) < 1000:
                    heard.append(deployment.post(payload))

        def refused() -> int:
            return sum(503 in heard for heard in list(answers.values()))

        with ThreadPoolExecutor() as senders:
            try:
                for _ in range(4):
                    senders.submit(deliver)
                for _ in range(2):
                    taken, before = len(answers), refused()
                    eventually(lambda taken=taken: len(answers) > taken + 20, what="traffic")
                    server.kill()
                    eventually(lambda before=before: refused() > before, what="503")
                    server.start()
                taken = len(answers)
                eventually(lambda: len(answers) > taken + 20, what="traffic again")
            finally:
                is_over.set()

        queued = [job_id.decode() for job_id in client.lrange("rq:queue:events", 0, -1)]
    heard = {status for each in answers.values() for status in each}
    assert heard <= {204, 503}
    assert sorted(queued) == sorted(answers)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_killed_in_the_middle_of_a_job(deployment: Stack, sim: Running, redis: Redis) -> None:
    """`kill -9` of the workers and their horses while Seam is slow: the job is done within three minutes."""
    deployment.start_receiver()
    deployment.start_workers()
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    deployment.seamkeeper("desired", "set", acs_user_id, "full_name=Jane Doe")
    eventually(lambda: _in_sync(deployment, acs_user_id), what="the first reconcile")
    sim.world.edit_at_provider(acs_user_id, full_name="Edited behind our back")
    sim.world.faults.add("slow", seconds=25, path="/acs/users/get")  # each: a job by the clock may read, too
    deployment.post(event("acs_user.created", acs_user_id=acs_user_id))
    registry = StartedJobRegistry("reconcile", connection=redis)
    eventually(lambda: registry.count > 0, what="the job that reads")

    kill(deployment.running.pop("worker"))
    sim.world.faults.clear()
    deployment.start("worker", "workers", "worker")

    user = eventually(lambda: _named(deployment, acs_user_id, "Jane Doe"), within=180, what="the repair")
    assert user["observed"]["full_name"] == "Jane Doe"


def _named(deployment: Stack, acs_user_id: str, name: str) -> dict[str, object] | None:
    user = deployment.shown("users", acs_user_id)
    is_there = user.get("sync") == "in_sync" and (user.get("observed") or {}).get("full_name") == name
    return user if is_there else None
