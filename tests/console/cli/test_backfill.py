"""`seamkeeper backfill`: a span that a person names, by real workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from console.cli import backfill
from seamkeeper import clock
from simulator.records import Event
from simulator.serve import Running, running
from simulator.world import World
from tests.signing import event
from tests.stack import Stack, stack

from .conftest import Seamkeeper

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam with five events of three weeks ago."""
    with running(World(users=1, seed=8)) as simulator:
        at = clock.now().replace(microsecond=0) - timedelta(days=21)
        stamp = clock.iso(at)
        for _ in range(5):
            made = event("acs_system.added", acs_system_id=simulator.world.acs_system_id, created_at=stamp)
            simulator.world.events.append(Event(at, made))
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Workers, and a command line beside them."""
    with stack(environment, tmp_path, seam=sim, SEAMKEEPER_RETRY_DELAYS="1") as found:
        yield found


def test_a_span_is_counted_and_then_fetched(deployment: Stack, sim: Running) -> None:
    """The dry run queues nothing; afterwards the events are in the journal, and nothing is missing any more."""
    deployment.start("worker", "workers", "worker")

    counted = json.loads(deployment.seamkeeper("backfill", "--since", "30d", "--dry-run", "--json"))
    fetched = json.loads(deployment.seamkeeper("backfill", "--since", "30d", "--json"))
    listed = json.loads(deployment.seamkeeper("events", "list", "--json"))
    again = json.loads(deployment.seamkeeper("backfill", "--since", "30d", "--json"))

    assert [(each["state"], each["listed"], each["brought"]) for each in (counted, fetched, again)] == [
        ("done", 5, 5), ("done", 5, 5), ("done", 5, 0),
    ]  # fmt: skip
    assert {each["source"] for each in listed} <= {"backfill"}


def test_a_seam_that_refuses_is_told(deployment: Stack, sim: Running) -> None:
    """Exit 1, with Seam's words."""
    deployment.start("worker", "workers", "worker")
    sim.world.faults.add(status=400, path="/events/list")

    said = deployment.seamkeeper("backfill", "--since", "30d", "--json", exit_code=1)

    assert json.loads(said)["state"] == "failed"
    assert "400" in json.loads(said)["reason"]


@pytest.mark.parametrize(
    "arguments", [["--since", "1h", "--until", "2h"], ["--since", "2199-01-01T00:00Z"], ["--since", "soon"]]
)
def test_a_span_that_is_none(seamkeeper: Seamkeeper, arguments: list[str]) -> None:
    """Exit 2, and nothing is asked for."""
    assert seamkeeper("backfill", *arguments).code == 2


def test_without_a_worker_it_says_so(seamkeeper: Seamkeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5 after the time in which nothing moved."""
    monkeypatch.setattr(backfill, "_PATIENCE", 0.5)

    said = seamkeeper("backfill")

    assert (said.code, said.out) == (5, "")
    assert "Does a worker run" in said.err
