"""`seamkeeper sync` on real workers: it waits, tells how far it is, and stopping it stops nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from seamkeeper.keys import Keys
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Terms
from simulator.serve import Running, running
from tests.stack import ROOT, Stack, eventually, stack

from .conftest import Seamkeeper

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own."""
    with running(users=600, seed=7) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Workers, and a command line beside them."""
    with stack(environment, tmp_path, seam=sim) as found:
        yield found


def test_all_is_read_and_waited_for(deployment: Stack, sim: Running) -> None:
    """When the command is over the mirror holds everybody; one of them had to be looked at."""
    ill = next(iter(sim.world.users))
    sim.world.raise_error(ill, "failed_to_update_on_acs_system")
    deployment.start_workers()

    said = json.loads(deployment.seamkeeper("sync", "--all", "--json"))

    [system] = said["systems"]
    assert (said["is_over"], said["looks_left"]) == (True, 0)
    assert (system["outcome"], system["listed"], system["pages"]) == ("ok", 600, 2)
    assert deployment.shown("users", ill)["health"] == "error"
    assert deployment.shown("users", next(reversed(sim.world.users)))["health"] == "ok"


def test_a_great_deletion_is_said_and_accepted(deployment: Stack, sim: Running) -> None:
    """Exit 1 and how to say that it is genuine; then it is done, and waited for."""
    deployment.start_workers()
    deployment.seamkeeper("sync", "--all")
    gone = list(sim.world.users)[:50]
    for each in gone:
        del sim.world.users[each]
    system = sim.world.acs_system_id

    deployment.seamkeeper("sync", "--system", system, exit_code=1)
    before = deployment.shown("users", gone[0])["health"]
    deployment.seamkeeper("sync", "--system", system, "--accept-missing")

    assert (before, deployment.shown("users", gone[0])["health"]) == ("ok", "deleted")


def test_ctrl_c_ends_the_waiting_and_nothing_else(deployment: Stack, redis: Redis) -> None:
    """Exit 130, a sentence, and the asks stay."""
    command = [sys.executable, "-m", "console", "sync", "u1", "--system", "s1"]
    queues = Queues(redis, keys=Keys(), terms=Terms())
    process = subprocess.Popen(
        command, env=dict(deployment.environ), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr
    first = process.stderr.readline()
    eventually(lambda: queues.still_asked({"u1": ""}), what="the ask")

    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)

    assert first == "Asked for 1 user and 1 access system.\n"
    # Python ends by the signal itself when it came while a class was being made out of text: a shell says 130 of both.
    assert process.returncode in (130, -signal.SIGINT), rest
    assert "goes on in the workers" in rest
    assert queues.still_asked({"u1": ""}) == {"u1"}
    assert redis.llen("rq:queue:resync") == 1


def test_without_a_worker_it_ends_with_a_word(seamkeeper: Seamkeeper) -> None:
    """Exit 1 after the time in which nothing moved."""
    said = seamkeeper("sync", "u1", "--timeout", "0.5")

    assert (said.code, said.out) == (1, "")
    assert "Does a worker run?" in said.err


@pytest.mark.parametrize(
    "arguments", [["--accept-missing"], ["u1", "--accept-missing"], ["--all", "--accept-missing"], ["--all", "--full"]]
)
def test_a_great_deletion_is_accepted_of_named_systems_only(
    seamkeeper: Seamkeeper, redis: Redis, arguments: list[str]
) -> None:
    """Exit 2, and nothing is asked for."""
    assert seamkeeper("sync", *arguments).code == 2
    assert redis.keys("rq:*") == []
