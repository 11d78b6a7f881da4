"""Dead letters and replay with real workers: what nobody's try could tell is told, and one command puts it right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from simulator.serve import Running, running
from tests.console.web.conftest import keep_event
from tests.stack import Stack, eventually, stack

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own."""
    with running(users=1, seed=5) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Processes that talk to the simulator; nothing is started yet."""
    with stack(environment, tmp_path, seam=sim) as found:
        yield found


def test_one_command_replays_what_is_dead(deployment: Stack, sim: Running, engine: Engine) -> None:
    """The command waits for the steps of the workers; every event is handled, and stands in the journal once."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    for number in range(30):
        keep_event(engine, f"e{number:02}", status="dead", acs_user_id=acs_user_id)
    deployment.start_workers()

    said = deployment.seamkeeper("replay", "--status", "dead", "--rate", "600", "--yes", "--json")

    row = json.loads(said)
    assert (row["state"], row["done"], row["skipped"]) == ("done", 30, 0)

    def left() -> list[str]:
        shown = json.loads(deployment.seamkeeper("events", "list", "--json", "--limit", "100"))
        assert len(shown) == 30
        return [each["event_id"] for each in shown if each["status"] != "done"]

    eventually(lambda: not left(), what="the last event")
    eventually(lambda: deployment.shown("users", acs_user_id).get("read_at"), what="the look at the user")


def test_a_job_that_cannot_be_read_is_a_dead_letter(deployment: Stack, redis: Redis) -> None:
    """Written by the worker process that set it aside."""
    fields = {"data": b"not a job", "status": "queued", "origin": "events", "created_at": "2026-01-01T00:00:00.000000Z"}
    redis.hset("rq:job:j1", mapping=fields)
    redis.rpush("rq:queue:events", "j1")
    deployment.start_workers()

    def letters() -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(deployment.seamkeeper("dead", "list", "--json"))["letters"]
        return found

    [letter] = eventually(letters, what="the letter")
    assert (letter["kind"], letter["subject_id"], letter["cause"]) == ("job", "j1", "unreadable_job")
