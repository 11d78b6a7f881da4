"""The table: whole, and open to a customer's own reactions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seamkeeper.errors import Permanent, Temporary
from simulator.serve import Running
from tests.signing import event
from tests.workers.conftest import Floor
from workers.reactions import REACTIONS

SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "seam_schema.json").read_text(encoding="utf-8"))
CHANGES = {
    "acs_user.appeared", "acs_user.changed", "acs_user.error_raised", "acs_user.error_cleared",
    "acs_user.warning_raised", "acs_user.warning_cleared", "acs_user.drifted", "acs_user.in_sync", "acs_user.vanished",
    "acs_user.recreated",
}  # fmt: skip


def test_every_type_in_the_table_is_a_word_of_seams_or_ours() -> None:
    """A slip of the pen would be a reaction that never runs."""
    families = {"acs_user", "acs_credential", "acs_access_group", "acs_system", "connected_account"}

    assert {happening.partition(".")[0] for happening in REACTIONS} <= families
    assert {happening for happening in REACTIONS if happening.startswith("acs_user.")} <= CHANGES | {
        "acs_user.created", "acs_user.deleted",
    }  # fmt: skip


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reaction_that_fails_is_tried_again(floor: Floor) -> None:
    """An error nobody expected is retried like any other, and its reason names the place, not the values."""
    heard: list[str] = []

    def mine(happening: Any, tools: Any) -> None:
        heard.append(happening.event_type)
        if len(heard) == 1:
            raise KeyError("Jane Doe")

    floor.tools.table["lock.unlocked"] = (mine,)  # type: ignore[index]
    name = floor.receive(event("lock.unlocked"))
    floor.work()

    shown = floor.event(name)
    assert heard == ["lock.unlocked", "lock.unlocked"]
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["retry", "ok"]
    assert shown["attempts"][0]["reason"].startswith("unexpected KeyError in mine")
    assert "Jane" not in json.dumps(shown["attempts"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("error", [Temporary("not now"), Permanent("never"), KeyError("Jane Doe")], ids=repr)
def test_a_reaction_to_a_change_that_fails_neither_stops_the_repair_nor_is_forgotten(
    floor: Floor, sim: Running, error: Exception
) -> None:
    """The mirror holds the change from then on, so no later look would find it again."""
    heard: list[tuple[str, str]] = []

    def mine(change: Any, tools: Any) -> None:
        heard.append((change.acs_user_id, change.detail["fields"][0]))
        if len(heard) == 1:
            raise error

    floor.tools.table["acs_user.drifted"] = (mine,)  # type: ignore[index]
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    floor.happened("acs_user.created", acs_user_id)

    assert floor.user(acs_user_id)["sync"] == "in_sync"
    assert heard == [(acs_user_id, "full_name")] * (1 if isinstance(error, Permanent) else 2)
    assert len(floor.failed()) == (1 if isinstance(error, Permanent) else 0)
