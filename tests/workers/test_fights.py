"""T11: another writer puts back what we put right. A few writes, then silence and one issue for a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from seamkeeper import clock, database, history, issues
from simulator.serve import Running
from tests.workers.conftest import Floor
from tests.workers.test_reconcile import UPDATE, updates


def open_codes(floor: Floor, acs_user_id: str) -> list[str]:
    """What is open on the user."""
    return [issue["code"] for issue in floor.user(acs_user_id)["issues"]]


def test_a_writer_who_reverts_each_repair_is_met_by_the_budget(floor: Floor, sim: Running) -> None:
    """An hour, a revert and an event each minute: three writes, one issue, and it says who moved when."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    start = clock.now()

    for minute in range(60):
        with time_machine.travel(start + timedelta(minutes=minute), tick=True):
            sim.world.edit_at_provider(acs_user_id, full_name="Jack Doe")
            floor.happened("acs_user.created", acs_user_id)

    with time_machine.travel(start + timedelta(hours=1), tick=True), database.reading(floor.engine) as connection:
        found = issues.list_issues(connection, code="another_writer")
        moves = history.moves(connection, acs_user_id, "full_name", since=start - timedelta(minutes=1))
    assert len(updates(sim)) == 3
    assert floor.user(acs_user_id)["sync"] == "drifted"
    mine = [issue for issue in found if issue["acs_user_id"] == acs_user_id]
    assert len(mine) == 1
    assert [move["who"] for move in mine[0]["detail"]["fields"]["full_name"]["moves"]][:4] == [
        "seamkeeper", "another writer", "seamkeeper", "another writer",
    ]  # fmt: skip
    assert {move["who"] for move in moves} == {"seamkeeper", "another writer"}


def test_time_alone_does_not_begin_the_fight_anew(floor: Floor, sim: Running) -> None:
    """Rule 7: it waits for a person. Another desired value is another matter."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    for _ in range(4):
        sim.world.edit_at_provider(acs_user_id, full_name="Jack Doe")
        floor.happened("acs_user.created", acs_user_id)
    assert open_codes(floor, acs_user_id) == ["another_writer"]

    with time_machine.travel(clock.now() + timedelta(days=3), tick=True):
        floor.happened("acs_user.created", acs_user_id)
        still = open_codes(floor, acs_user_id)
        floor.want(acs_user_id, full_name="Janet Doe")
        floor.happened("acs_user.created", acs_user_id)

    assert still == ["another_writer"]
    assert [update["full_name"] for update in updates(sim)] == ["Jane Doe"] * 3 + ["Janet Doe"]
    assert open_codes(floor, acs_user_id) == []


def test_our_own_hand_is_known_in_the_history(floor: Floor, sim: Running) -> None:
    """The change that our write made says so; a later one by somebody else does not."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    floor.happened("acs_user.created", acs_user_id)
    sim.world.edit_at_provider(acs_user_id, full_name="Somebody Else")
    floor.happened("acs_user.created", acs_user_id)

    with database.reading(floor.engine) as connection:
        lines = [line for line in history.history(connection, acs_user_id) if line["what"] == "acs_user.changed"]
    assert ["by_us" in line["detail"] for line in reversed(lines)] == [True, False, True]


@pytest.mark.parametrize("field", ["full_name", "is_suspended"])
def test_only_the_field_that_is_fought_over_stops(floor: Floor, sim: Running, field: str) -> None:
    """The others are put right as before."""
    values = {"full_name": "Jack Doe", "is_suspended": False}
    acs_user_id = sim.world.add_user(**values, phone_number="+15555550222")
    floor.want(acs_user_id, **{field: "Jane Doe" if field == "full_name" else True})
    for _ in range(4):
        sim.world.edit_at_provider(acs_user_id, **{field: values[field]})
        floor.happened("acs_user.created", acs_user_id)

    floor.want(acs_user_id, phone_number="+15555550100")
    floor.happened("acs_user.created", acs_user_id)

    user = floor.user(acs_user_id)
    assert set(user["drift"]) == {field}
    assert user["observed"]["phone_number"] == "+15555550100"


def test_a_fight_ends_though_no_answer_is_heard(floor: Floor, sim: Running) -> None:
    """Seam carries each write out, and its answers are lost: what was seen to arrive was sent."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    for _ in range(5):
        sim.world.edit_at_provider(acs_user_id, full_name="Jack Doe")
        sim.world.faults.add("status", status=503, path=UPDATE, times=1, is_late=True)
        floor.happened("acs_user.created", acs_user_id)

    assert (open_codes(floor, acs_user_id), len(updates(sim))) == (["another_writer"], 3)


def test_an_outage_is_no_fight(floor: Floor, sim: Running) -> None:
    """No write was carried out, however often it was tried: the budget is whole when Seam is back."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    sim.world.faults.add("status", status=503, path=UPDATE)
    floor.happened("acs_user.created", acs_user_id)
    tries = len(updates(sim))
    sim.world.faults.clear()

    floor.happened("acs_user.created", acs_user_id)

    assert tries > floor.tools.settings.fight_repairs
    assert (floor.user(acs_user_id)["sync"], open_codes(floor, acs_user_id)) == ("in_sync", [])
