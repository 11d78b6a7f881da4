"""T7: whatever comes twice, late, in another order or not at all, and however stale Seam answers: in the end the
mirror is what Seam holds, and what Seam holds is what is desired."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis import Redis

from seamkeeper import clock, database, desired, mirror, systems
from seamkeeper import settings as told
from seamkeeper.accept import event_job
from seamkeeper.queues import RESYNC_SYSTEM
from simulator.world import World
from tests.signing import body_of, event
from tests.workers.hands import Hands, NearSeam
from workers import tools as tools_module
from workers.tools import Tools, make_tools


class House:
    """One deployment in this process: tools, hands, and a Seam at arm's length."""

    def __init__(self, tools: Tools, redis: Redis, world: World, seam: NearSeam) -> None:
        self.tools, self.redis, self.world, self.seam = tools, redis, world, seam

    def receive(self, payload: dict[str, Any]) -> None:
        """As the receiver queues it, without the dedupe: duplicates get through."""
        kind, name = str(payload["event_type"]), f"{payload['event_id']}-{os.urandom(4).hex()}"
        job = event_job(name, kind, body_of(payload).decode(), received_at=clock.now(), source="webhook", delivery="m")
        self.tools.queues.ask_once(f"mark:{name}", job, queue="events", delay=None)

    def standing(self, acs_user_id: str) -> mirror.Standing:
        with self.tools.engine.begin() as connection:
            return mirror.standing(connection, acs_user_id)

    def want(self, acs_user_id: str, **values: Any) -> None:
        with self.tools.engine.begin() as connection:
            desired.set_desired(connection, acs_user_id, values, by="a test")


@pytest.fixture
def house(
    redis: Redis, redis_url: str, tmp_path: Path, migrated_sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """On SQLite: the number of histories is what counts here."""
    shutil.copy(migrated_sqlite, tmp_path / "histories.db")
    environ = {
        "REDIS_URL": redis_url, "DATABASE_URL": f"sqlite:///{tmp_path / 'histories.db'}", "SEAM_API_KEY": "seam_x",
        "SEAMKEEPER_LOG_FORMAT": "json", "SEAMKEEPER_FIGHT_REPAIRS": "1000",
    }  # fmt: skip
    world = World()
    world.settings.pending_seconds = 0
    tools = make_tools(told.load(environ))
    seam = NearSeam(world)
    tools = replace(tools, seam=seam)  # type: ignore[arg-type]
    monkeypatch.setattr(tools_module, "_made", {os.getpid(): tools})
    monkeypatch.setattr("seamkeeper.logs.get", lambda: _Silence())
    yield House(tools, redis, world, seam)
    tools.engine.dispose()


class _Silence:
    def bind(self, **_fields: Any) -> _Silence:
        return self

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_fields: None


def _history(house: House, *, ends_deleted: bool) -> tuple[str, str, list[dict[str, Any]]]:
    """Six events of one user's life, as they happened, with the world as it is afterwards."""
    system = house.world.add_system("House")
    acs_user_id = house.world.add_user(acs_system_id=system, full_name="Jack Doe")
    house.want(acs_user_id, full_name="Jane Doe")
    credential = house.world.issue_credential(acs_user_id)
    about = {"acs_user_id": acs_user_id, "acs_system_id": system}
    of_system = {name: [] for name in ("acs_system_errors", "acs_system_warnings", "connected_account_errors",
                                       "connected_account_warnings")}  # fmt: skip
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("acs_user.created", about),
        ("acs_credential.issued", {"acs_system_id": system, "acs_credential_id": credential}),
        ("acs_system.disconnected", {"acs_system_id": system, **of_system}),
        ("acs_system.connected", {"acs_system_id": system}),
        ("acs_credential.deleted", {"acs_system_id": system, "acs_credential_id": credential}),
        ("acs_user.deleted" if ends_deleted else "acs_access_group.deleted",
         about if ends_deleted else {"acs_system_id": system, "acs_access_group_id": "g"}),
    ]  # fmt: skip
    start = clock.now() - timedelta(minutes=10)
    told = [event(kind, **fields, occurred_at=clock.iso(start + timedelta(minutes=number)))
            for number, (kind, fields) in enumerate(kinds)]  # fmt: skip
    house.world.delete_credential(credential)
    if ends_deleted:
        house.world.delete_at_provider(acs_user_id)
    return acs_user_id, system, told


def _end_of(house: House, acs_user_id: str, system: str) -> tuple[Any, ...]:
    standing = house.standing(acs_user_id)
    with house.tools.engine.begin() as connection:
        is_connected = systems.is_connected(connection, system)
    name = (standing.observed or {}).get("full_name")
    return standing.is_gone, standing.sync, standing.health, dict(standing.drift), is_connected, name


_ALL = [pytest.mark.proof, pytest.mark.timeout(3600)]


@pytest.mark.parametrize("ends_deleted", [True, False], ids=["deleted", "alive"])
@pytest.mark.parametrize("share", [pytest.param(40, id="some"), pytest.param(1, id="all", marks=_ALL)])
def test_every_order_of_six_events_with_duplicates_ends_in_the_same_mirror(
    house: House, ends_deleted: bool, share: int
) -> None:
    """All 720 permutations, each with some of its events twice, and jobs run in the order in which they wait."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    chance, ends = random.Random(seed), set()
    for number, order in enumerate(itertools.permutations(range(6))):
        if number % share != seed % share:
            continue
        acs_user_id, system, told = _history(house, ends_deleted=ends_deleted)
        for place in order:
            house.receive(told[place])
            if chance.random() < 0.4:
                house.receive(told[chance.randrange(6)])
            if chance.random() < 0.5:
                Hands(house.redis, chance).run_one()
        Hands(house.redis, chance).run_all()
        ends.add(repr(_end_of(house, acs_user_id, system)))
        assert len(ends) == 1, f"seed {seed}, order {order}: {ends}"

    alive = "(False, 'in_sync', 'ok', {}, True, 'Jane Doe')"
    assert ends == {"(True, 'unknown', 'deleted', {}, True, None)" if ends_deleted else alive}


def test_a_thousand_events_about_one_user_are_at_most_three_reads(house: House) -> None:
    """In a burst: many asks before a run are one run."""
    acs_user_id = house.world.add_user(full_name="Jack Doe")
    for _ in range(1000):
        house.receive(event("acs_user.created", acs_user_id=acs_user_id))

    Hands(house.redis).run_all()

    assert house.seam.reads <= 3
    assert house.standing(acs_user_id).health == "ok"


class Life(RuleBasedStateMachine):
    """A building: people come, go and change; events are lost, doubled, late; answers are stale; jobs run in any order.

    `house` is given by the test that runs it.
    """

    house: House

    def __init__(self) -> None:
        super().__init__()
        self.house.redis.flushall()
        self.house.seam.stale = 0
        self.system = self.house.world.add_system("House")
        self.people: list[str] = []
        self.gone: set[str] = set()
        self.mail: list[dict[str, Any]] = []

    @initialize()
    def two_are_there(self) -> None:
        for name in ("Jack", "Jill"):
            self.somebody_comes(name)
            self.house.receive(self.mail.pop())
        Hands(self.house.redis).run_all()

    def _one(self, data: st.DataObject) -> str:
        """By number: ids differ from run to run, and Hypothesis repeats them."""
        return self.people[data.draw(st.integers(0, len(self.people) - 1))]

    def _about(self, acs_user_id: str) -> dict[str, Any]:
        return {"acs_user_id": acs_user_id, "acs_system_id": self.system}

    @rule(name=st.sampled_from(["Jack", "Jill"]))
    def somebody_comes(self, name: str) -> None:
        acs_user_id = self.house.world.add_user(acs_system_id=self.system, full_name=name)
        self.people.append(acs_user_id)
        self.mail.append(event("acs_user.created", **self._about(acs_user_id)))

    @precondition(lambda self: self.people)
    @rule(data=st.data())
    def somebody_goes(self, data: st.DataObject) -> None:
        self.house.seam.remember()
        acs_user_id = self._one(data)
        if acs_user_id not in self.gone:
            self.gone.add(acs_user_id)
            self.house.world.delete_at_provider(acs_user_id)
            self.mail.append(event("acs_user.deleted", **self._about(acs_user_id)))

    @precondition(lambda self: self.people)
    @rule(data=st.data(), name=st.sampled_from(["Jack", "Jill", "Joan"]))
    def somebody_is_edited(self, data: st.DataObject, name: str) -> None:
        """Seam sends no event for it."""
        self.house.seam.remember()
        acs_user_id = self._one(data)
        if acs_user_id not in self.gone:
            self.house.world.edit_at_provider(acs_user_id, full_name=name)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), is_raised=st.booleans())
    def a_code_comes_or_goes(self, data: st.DataObject, is_raised: bool) -> None:
        acs_user_id = self._one(data)
        if acs_user_id not in self.gone and is_raised:
            self.house.world.raise_error(acs_user_id, "failed_to_create_on_acs_system")
        elif acs_user_id not in self.gone:
            self.house.world.clear_issue(acs_user_id)

    @precondition(lambda self: self.people)
    @rule(data=st.data(), name=st.sampled_from(["Jack", "Jill", "Joan"]))
    def something_is_desired(self, data: st.DataObject, name: str) -> None:
        self.house.want(self._one(data), full_name=name)

    @precondition(lambda self: self.mail)
    @rule(data=st.data(), fate=st.sampled_from(["delivered", "twice", "lost", "lost"]))
    def an_event_arrives(self, data: st.DataObject, fate: str) -> None:
        payload = self.mail.pop(data.draw(st.integers(0, len(self.mail) - 1)))
        if fate != "lost":
            self.house.receive(payload)
        if fate == "twice":
            self.mail.append(payload)

    @rule(count=st.integers(1, 2))
    def answers_are_stale(self, count: int) -> None:
        self.house.seam.stale = count

    @rule(seed=st.integers(0, 99), count=st.integers(1, 4))
    def some_jobs_run(self, seed: int, count: int) -> None:
        hands = Hands(self.house.redis, random.Random(seed))
        for _ in range(count):
            hands.run_one()

    @rule()
    def time_passes(self) -> None:
        Hands(self.house.redis).pull_forward()

    def teardown(self) -> None:
        """Quiet: what is on its way arrives, one resync looks through the system, and nobody answers stale."""
        for payload in self.mail:
            self.house.receive(payload)
        hands = Hands(self.house.redis)
        hands.run_all()
        self.house.seam.stale = 0
        self.house.tools.queues.ask_resync(RESYNC_SYSTEM, self.system, why="quiet")
        hands.run_all()
        for acs_user_id in self.people:
            self._compare(acs_user_id)

    def _compare(self, acs_user_id: str) -> None:
        held, truth = self.house.standing(acs_user_id), self.house.world.user(acs_user_id)
        if truth is None:
            assert held.read_at is None or held.is_gone
            return
        with database.reading(self.house.tools.engine) as connection:
            wanted = desired.desired_of(connection, acs_user_id)
        assert held.observed is not None
        assert {**held.observed, "last_successful_sync_at": 0} == {**truth, "last_successful_sync_at": 0}
        assert held.sync == ("in_sync" if wanted else "unknown")
        assert truth["full_name"] == wanted.get("full_name", truth["full_name"])


@pytest.mark.parametrize(
    ("examples", "steps"), [(40, 25), pytest.param(1000, 100, marks=_ALL)], ids=["some", "a-hundred-thousand-steps"]
)
def test_the_mirror_is_what_seam_holds_after_quiet(house: House, examples: int, steps: int) -> None:
    """Hypothesis looks for the history that breaks it, and prints the seed that leads there."""
    machine = type("Machine", (Life,), {"house": house})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
