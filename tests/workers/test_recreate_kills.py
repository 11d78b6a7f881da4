"""SIGKILL around create (T10): never two live users for one desired person, and in the end exactly one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from seamkeeper import clock, desired, mirror, recreations
from seamkeeper.database import desired_users
from seamkeeper.database import recreations as rows
from simulator.serve import Running
from tests.stack import ROOT
from tests.workers.conftest import Floor
from tests.workers.recreating import CREATE, RECREATE, codes, living, states

SLOW = 0.15  # seconds that Seam takes for a create, in those runs that are killed by the clock

# SQLite with every change, PostgreSQL by `make proof`: half a minute each.
ON_BOTH_LATER = pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.proof)], indirect=True
)


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Without a budget: these go one by one, each approved by a person."""
    return environ | RECREATE | {"SEAMKEEPER_RECREATE_BUDGET": "100000"}


class Dying:
    """The program that runs reconciles in processes that die."""

    def __init__(self, floor: Floor, process: subprocess.Popen[str]) -> None:
        self._floor, self._process = floor, process

    def run(self, acs_user_id: str, *deaths: dict[str, float]) -> list[int]:
        """Exit codes of one run for each death, all at the same time."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"acs_user_id": acs_user_id, "deaths": deaths}) + "\n")
        self._process.stdin.flush()
        answer: list[int] = json.loads(self._process.stdout.readline())
        self._floor.redis.flushall()  # the turn of the dead, as if its time were over; and all that was asked for
        return answer


@pytest.fixture
def dying(floor: Floor, environ: dict[str, str], tmp_path: Path) -> Iterator[Dying]:
    """Running, on this test's Seam, Redis and database."""
    told = {**environ, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.workers.dying"]
    with (tmp_path / "dying.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=told, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    with process:
        yield Dying(floor, process)
        assert process.stdin
        process.stdin.close()
        process.wait(10)


def lost(floor: Floor, sim: Running, acs_system_id: str, name: str) -> str:
    """A desired person who is gone, with a person's yes to a new user."""
    acs_user_id = sim.world.add_user(acs_system_id=acs_system_id, full_name=name, email_address=None)
    raw, at = sim.world.user(acs_user_id), clock.now()
    sim.world.delete_at_provider(acs_user_id)
    assert raw
    with floor.engine.begin() as connection:
        before = mirror.standing(connection, acs_user_id)
        mirror.keep(connection, before, raw, mirror.Verdict("in_sync", {}), health="ok", read_at=at)
        mirror.bury(connection, acs_user_id, read_at=clock.now(), reason="a test")
        desired.set_desired(connection, acs_user_id, {"full_name": name}, by="a test")
        recreations.approve(connection, acs_user_id, by="a person")
    return acs_user_id


def an_hour_passes(floor: Floor, acs_user_id: str) -> None:
    """No call of before is under way any more, and all waiting is over."""
    time.sleep(2 * SLOW)
    with floor.engine.begin() as connection:
        row = recreations.latest(connection, acs_user_id)
        if row and row.intended_at:
            is_it = rows.c.recreation_id == row.recreation_id
            values = {"intended_at": row.intended_at - timedelta(hours=1)}
            connection.execute(update(rows).where(is_it).values(values))


def settle(floor: Floor, dying: Dying, acs_user_id: str) -> None:
    """Nobody is killed any more."""
    for _ in range(4):
        if states(floor, acs_user_id)[-1] in ("created", "adopted"):
            return
        an_hour_passes(floor, acs_user_id)
        dying.run(acs_user_id, {})
    assert states(floor, acs_user_id)[-1] in ("created", "adopted"), codes(floor, acs_user_id)


def check(floor: Floor, sim: Running, acs_system_id: str, people: dict[str, str]) -> None:
    """Exactly one live user for each, who alone is managed, linked to the one before."""
    with floor.engine.connect() as connection:
        managed = {row.acs_user_id: row.full_name for row in connection.execute(select(desired_users))}
    for name, old in people.items():
        [new] = living(sim, acs_system_id, name)
        assert [key for key, each in managed.items() if each == name] == [new]
        assert floor.user(old)["replaced_by"] == new


@ON_BOTH_LATER
@pytest.mark.timeout(900)
def test_killed_at_every_border(floor: Floor, sim: Running, acs_system_id: str, dying: Dying) -> None:
    """Before and after every request, command and commit of the run that makes the user, until one lives to its end."""
    people: dict[str, str] = {}
    for border in range(200):
        name = f"Person {border}"
        people[name] = lost(floor, sim, acs_system_id, name)
        [code] = dying.run(people[name], {"border": border})
        assert len(living(sim, acs_system_id, name)) <= 1
        settle(floor, dying, people[name])
        if code == 0:
            break
        assert code == -signal.SIGKILL

    check(floor, sim, acs_system_id, people)
    how = Counter(states(floor, old)[-1] for old in people.values())
    print(f"killed at {len(people) - 1} borders: {dict(how)}")
    assert len(people) > 20
    assert how["adopted"] >= 1


@ON_BOTH_LATER
@pytest.mark.parametrize("kills", [12, pytest.param(500, marks=[pytest.mark.proof, pytest.mark.timeout(1800)])])
def test_killed_again_and_again(floor: Floor, sim: Running, acs_system_id: str, dying: Dying, kills: int) -> None:
    """At random borders and moments, two processes at once now and then, with a Seam that misbehaves; the same person
    up to six times."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    chance, people, died = random.Random(seed), dict[str, str](), 0
    while died < kills:
        name = f"Person {len(people)}"
        old = people[name] = lost(floor, sim, acs_system_id, name)
        for _ in range(chance.randint(2, 6)):
            misbehave(sim, chance)
            died += dying.run(old, *deaths(chance)).count(-signal.SIGKILL)
            sim.world.faults.clear()
            assert len(living(sim, acs_system_id, name)) <= 1, f"two live users, seed {seed}"
            if chance.random() < 0.5:
                an_hour_passes(floor, old)
    for old in people.values():
        settle(floor, dying, old)

    time.sleep(2 * SLOW)
    check(floor, sim, acs_system_id, people)
    how = Counter(states(floor, old)[-1] for old in people.values())
    calls = len(sim.world.requests.list(CREATE))
    print(f"seed {seed}: {died} kills, {len(people)} people, {calls} creates, {dict(how)}, two live users: never")


def deaths(chance: random.Random) -> list[dict[str, float]]:
    """One or two processes; some live."""
    kinds: list[Any] = [
        lambda: {"border": chance.randrange(45)}, lambda: {"after": chance.uniform(0, 0.4)}, lambda: {"border": 45},
    ]  # fmt: skip
    return [chance.choice(kinds)() for _ in range(chance.choice((1, 1, 2)))]


def misbehave(sim: Running, chance: random.Random) -> None:
    """What happens to the create of the next run."""
    kind = chance.choice(("none", "slow", "drop", "html", "status"))
    if kind == "slow":
        sim.world.faults.add("slow", seconds=SLOW, path=CREATE)
    elif kind != "none":
        sim.world.faults.add(kind, path=CREATE, status=502, is_late=chance.random() < 0.5)
