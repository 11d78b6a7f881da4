"""The table: whole, and open to a customer's own reactions."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from seamkeeper.errors import ConfigurationError
from tests.signing import event
from tests.workers.conftest import Floor
from workers.reactions import REACTIONS, load_table

SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "seam_schema.json").read_text(encoding="utf-8"))
CHANGES = {
    "acs_user.appeared", "acs_user.changed", "acs_user.error_raised", "acs_user.error_cleared",
    "acs_user.warning_raised", "acs_user.warning_cleared", "acs_user.drifted", "acs_user.in_sync", "acs_user.vanished",
}  # fmt: skip


def test_every_type_in_the_table_is_a_word_of_seams_or_ours() -> None:
    """A slip of the pen would be a reaction that never runs."""
    families = {"acs_user", "acs_credential", "acs_access_group", "acs_system", "connected_account"}

    assert {happening.partition(".")[0] for happening in REACTIONS} <= families
    assert {happening for happening in REACTIONS if happening.startswith("acs_user.")} <= CHANGES | {
        "acs_user.created", "acs_user.deleted",
    }  # fmt: skip


def test_a_customers_reactions_stand_behind_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEAMKEEPER_REACTIONS names the module."""
    module = types.ModuleType("house_rules")
    mine = lambda happening, tools: None  # noqa: E731
    monkeypatch.setattr(module, "REACTIONS", {"acs_user.created": (mine,), "lock.unlocked": (mine,)}, raising=False)
    monkeypatch.setitem(sys.modules, "house_rules", module)

    table = load_table(["house_rules"])

    assert table["acs_user.created"] == (*REACTIONS["acs_user.created"], mine)
    assert table["lock.unlocked"] == (mine,)


@pytest.mark.parametrize("name", ["there_is.no_such_module", "json"], ids=["missing", "without-table"])
def test_a_module_that_cannot_be_used_is_a_mistake_of_the_settings(name: str) -> None:
    """Found when the worker starts, not with the first event."""
    with pytest.raises(ConfigurationError, match=name):
        load_table([name])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reaction_of_a_customer_runs_and_its_failure_is_tried_again(floor: Floor) -> None:
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
