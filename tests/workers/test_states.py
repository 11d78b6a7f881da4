"""docs/reconciliation.md against the code: the transitions that happen stand in its diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from seamkeeper import clock, desired, mirror, policies
from simulator.serve import Running
from tests.stack import ROOT
from tests.workers.conftest import Floor

Transition = tuple[str, str]


def documented() -> set[Transition]:
    """The arrows of the diagram."""
    text = (ROOT / "docs" / "reconciliation.md").read_text(encoding="utf-8")
    return set(re.findall(r"^ {4}(\S+) --> (\w+):", text, flags=re.MULTILINE))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[Transition]]:
    """The transitions that the mirror is told to make."""
    found: set[Transition] = set()
    keep, mark, bury = mirror.keep, mirror.mark, mirror.bury

    def state(connection: Connection, acs_user_id: str) -> str:
        standing = mirror.standing(connection, acs_user_id)
        if standing.read_at is None:
            return "[*]"
        return "gone" if standing.is_gone else standing.sync

    def watched(function: Any) -> Any:
        def call(connection: Connection, who: Any, *arguments: Any, **options: Any) -> None:
            acs_user_id = who if isinstance(who, str) else who.acs_user_id
            before = state(connection, acs_user_id)
            function(connection, who, *arguments, **options)
            if (after := state(connection, acs_user_id)) != before:
                found.add((before, after))

        return call

    for name, function in (("keep", keep), ("mark", mark), ("bury", bury)):
        monkeypatch.setattr(mirror, name, watched(function))
    yield found


def test_the_states_are_those_of_the_product() -> None:
    """Each `sync`, and the tombstone."""
    states = {state for transition in documented() for state in transition} - {"[*]"}

    assert states == {*mirror.SYNCS, "gone"}


def test_a_life_in_all_states(floor: Floor, sim: Running, seen: set[Transition]) -> None:
    """Unmanaged, managed, repaired, edited, paused, refused, given up, deleted, back again."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")

    def happened() -> None:
        floor.happened("acs_user.created", acs_user_id)

    happened()  # unknown
    floor.want(acs_user_id, full_name="Jane Doe")
    happened()  # drifted, applying, in_sync
    with floor.engine.begin() as connection:
        policies.set_policy(
            connection, "user", acs_user_id, by="a test", paused_until=clock.now() + timedelta(hours=1)
        )  # fmt: skip
    sim.world.edit_at_provider(acs_user_id, full_name="Jack Doe")
    happened()  # paused
    with floor.engine.begin() as connection:
        policies.end_pause(connection, "user", acs_user_id, by="a test")
    sim.world.settings.failures = 10
    happened()  # drifted, applying, drifted
    sim.world.settings.failures = 0
    sim.world.edit_at_provider(acs_user_id, full_name="Jane Doe")
    happened()  # in_sync by another hand
    with floor.engine.begin() as connection:
        desired.forget_desired(connection, acs_user_id)
    happened()  # unknown
    record = sim.world.users[acs_user_id]
    sim.world.delete_at_provider(acs_user_id)
    floor.happened("acs_user.deleted", acs_user_id)  # gone
    sim.world.users[acs_user_id] = record
    happened()  # Seam shows the user again

    assert seen <= documented()
    assert {
        ("[*]", "unknown"), ("unknown", "drifted"), ("drifted", "applying"), ("applying", "in_sync"),
        ("in_sync", "paused"), ("paused", "drifted"), ("applying", "drifted"), ("drifted", "in_sync"),
        ("in_sync", "unknown"), ("unknown", "gone"), ("gone", "unknown"),
    } <= seen  # fmt: skip
