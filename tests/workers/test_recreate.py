"""A new user for one who is gone: by the policy or a person's word, once, and never where it would harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from seamkeeper import clock, database, desired, history, issues
from seamkeeper.database import actions
from simulator.records import Schedule
from simulator.serve import Running
from tests.workers.conftest import Floor
from tests.workers.recreating import (
    CREATE,
    RECREATE,
    approve,
    codes,
    creates,
    gone,
    known,
    living,
    look,
    make_now,
    set_policy,
    states,
    time_passes,
)  # fmt: skip


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """Whoever is gone is made anew."""
    return environ | RECREATE


def test_who_is_gone_and_desired_is_made_anew_once(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """With what create takes, desired or last seen; the two are linked, and exactly one is managed afterwards."""
    sim.world.settings.pending_seconds = 0
    schedule = Schedule(clock.parse("2026-11-01T10:00:00Z"), None)
    identity = sim.world.new_identity()
    old = gone(floor, sim, acs_system_id, email_address="jack@example.com", phone_number="+15555550100",
               access_schedule=schedule, identity=identity)  # fmt: skip
    before_the_grace = creates(sim)
    time_passes(floor)
    time_passes(floor)

    assert (before_the_grace, states(floor, old)) == ([], ["created"])
    assert creates(sim) == [{
        "acs_system_id": acs_system_id, "full_name": "Jack Doe", "email_address": "jack@example.com",
        "phone_number": "+15555550100", "user_identity_id": identity.user_identity_id,
        "access_schedule": {"starts_at": "2026-11-01T10:00:00.000000Z", "ends_at": None},
    }]  # fmt: skip
    [new] = living(sim, acs_system_id, "Jack Doe")
    assert (floor.user(old)["replaced_by"], floor.user(new)["replaces"]) == (new, old)
    assert (floor.user(old)["desired"], floor.user(new)["desired"]) == ({}, {"full_name": "Jack Doe"})
    assert (floor.user(new)["sync"], floor.user(new)["health"], floor.user(old)["issues"]) == ("in_sync", "ok", [])
    with database.reading(floor.engine) as connection:
        told = [(line["what"], line["detail"]) for line in history.history(connection, old)]
        line = connection.execute(select(actions).where(actions.c.endpoint == CREATE)).mappings().one()
        of_new = [line["detail"] for line in history.history(connection, new) if line["what"] == "acs_user.recreated"]
    assert ("acs_user.recreated", {"replaced_by": new, "how": "created"}) in told
    assert of_new == [{"replaces": old, "how": "created"}]
    assert (line["acs_user_id"], line["outcome"], line["before"]["acs_user_id"]) == (old, "ok", old)
    assert line["seam_request_id"]


def test_never_is_never(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """No row, no finding, no call."""
    set_policy(floor, "system", acs_system_id, recreate="never")

    old = gone(floor, sim, acs_system_id)
    time_passes(floor)

    assert (creates(sim), states(floor, old), codes(floor, old)) == ([], [], [])


def test_ask_waits_for_a_person(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """A finding, however often it is looked at; a person's yes makes the user, and the finding is over."""
    set_policy(floor, "system", acs_system_id, recreate="ask")
    old = gone(floor, sim, acs_system_id)
    look(floor, old)
    time_passes(floor)
    asked = (creates(sim), states(floor, old), codes(floor, old))

    approve(floor, old)

    assert asked == ([], ["asked"], ["recreate_wanted"])
    assert (states(floor, old), codes(floor, old)) == (["created"], [])
    assert len(living(sim, acs_system_id, "Jack Doe")) == 1


def test_nobody_approves_who_is_there_or_not_desired(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """A sentence for the person instead."""
    there = known(floor, sim, acs_system_id)
    with pytest.raises(ValueError, match="is not gone"):
        approve(floor, there)
    set_policy(floor, "system", acs_system_id, recreate="ask")
    old = gone(floor, sim, acs_system_id, "Jane Doe")
    with floor.engine.begin() as connection:
        desired.forget_desired(connection, old)
    with pytest.raises(ValueError, match="nothing is desired"):
        approve(floor, old)


def test_what_is_not_desired_any_more_is_not_asked_for(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """The finding goes with the desired row."""
    set_policy(floor, "system", acs_system_id, recreate="ask")
    old = gone(floor, sim, acs_system_id)
    with floor.engine.begin() as connection:
        desired.forget_desired(connection, old)

    look(floor, old)

    assert (states(floor, old), codes(floor, old)) == (["dropped"], [])


def test_who_comes_back_is_not_made_anew(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Within the grace: a provider that was wrong for a moment makes nobody."""
    old = known(floor, sim, acs_system_id)
    record = sim.world.users.pop(old)
    look(floor, old)
    begun = states(floor, old)
    sim.world.users[old] = record

    time_passes(floor)

    assert (begun, states(floor, old), creates(sim)) == (["approved"], ["dropped"], [])
    assert floor.user(old)["sync"] == "in_sync"


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_is_a_persons(floor: Floor, sim: Running, acs_system_id: str, status: int) -> None:
    """Not tried again by itself; a person's yes tries once more."""
    old = gone(floor, sim, acs_system_id)
    sim.world.faults.add("status", status=status, path=CREATE, times=1)
    time_passes(floor)
    time_passes(floor)
    refused = (len(creates(sim)), states(floor, old), codes(floor, old))

    approve(floor, old)

    assert refused == (1, ["refused"], ["recreate_wanted"])
    assert (states(floor, old), codes(floor, old)) == (["refused", "created"], [])


def test_who_is_there_already_is_not_made_twice(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Somebody made the person anew at the desk: never adopted, for they were there before; a person decides."""
    old = gone(floor, sim, acs_system_id, email_address="jack@example.com")
    by_hand = sim.world.add_user(acs_system_id=acs_system_id, full_name="J. Doe", email_address="Jack@example.com")
    time_passes(floor)
    time_passes(floor)
    unclear = (creates(sim), states(floor, old), floor.user(old)["issues"][0])

    sim.world.edit_at_provider(by_hand, email_address="another@example.com")
    approve(floor, old)

    assert unclear[:2] == ([], ["unclear"])
    assert (unclear[2]["code"], unclear[2]["detail"]) == ("recreate_unclear", {"candidates": [by_hand]})
    assert (states(floor, old), codes(floor, old)) == (["unclear", "created"], [])


def test_nobody_is_made_while_the_old_user_is_being_deleted(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Deleted at the provider, and the deletion at Seam under way."""
    old = known(floor, sim, acs_system_id)
    sim.world.delete_externally(old)
    sim.world.settings.is_holding = True
    sim.world.delete_user(sim.world.users[old])
    look(floor, old)
    time_passes(floor)
    held = (creates(sim), states(floor, old))
    sim.world.settings.is_holding = False
    sim.world.drain()
    time_passes(floor)
    time_passes(floor)

    assert held == ([], ["approved"])
    assert (states(floor, old), len(living(sim, acs_system_id, "Jack Doe"))) == (["created"], 1)


def test_nobody_is_made_while_the_system_is_disconnected(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """When it is back, the later looks go on."""
    old = gone(floor, sim, acs_system_id)
    floor.happened("acs_system.disconnected", "", acs_system_id=acs_system_id, acs_system_errors=[],
                   acs_system_warnings=[], connected_account_errors=[], connected_account_warnings=[])  # fmt: skip
    time_passes(floor)
    held = (creates(sim), states(floor, old))
    floor.happened("acs_system.connected", "", acs_system_id=acs_system_id)
    time_passes(floor)

    assert held == ([], ["approved"])
    assert states(floor, old) == ["created"]


def test_who_was_deleted_at_the_provider_is_made_anew(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Seam still shows the old one: it keeps its error, is not managed any more, and is never deleted by us."""
    old = known(floor, sim, acs_system_id, email_address="jack@example.com")
    sim.world.delete_externally(old)
    look(floor, old)
    for _ in range(3):
        time_passes(floor)

    [new] = living(sim, acs_system_id, "Jack Doe")
    assert (states(floor, old), floor.user(old)["replaced_by"]) == (["created"], new)
    assert (codes(floor, old), floor.user(old)["desired"]) == (["deleted_externally"], {})
    assert floor.user(new)["sync"] == "in_sync"
    assert sim.world.requests.list("/acs/users/delete") == []


def test_a_day_has_a_budget(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """The rest waits, people are told, and it goes on when the day is over."""
    olds = [gone(floor, sim, acs_system_id, f"Person {number}") for number in range(3)]
    time_passes(floor)
    time_passes(floor)
    first = sorted(states(floor, old)[0] for old in olds)
    [waiting] = [old for old in olds if states(floor, old) == ["approved"]]
    told = codes(floor, waiting)
    time_passes(floor, timedelta(days=1))
    time_passes(floor, timedelta())

    assert (first, told) == (["approved", "created", "created"], ["recreate_wanted"])
    assert (states(floor, waiting), codes(floor, waiting)) == (["created"], [])


def test_many_who_go_at_once_are_a_persons(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Twelve of twelve within an hour: nobody is made, one finding on the system; approved ones are made."""
    olds = [known(floor, sim, acs_system_id, f"Person {number}") for number in range(12)]
    for old in olds:
        sim.world.delete_at_provider(old)
        look(floor, old)
    for _ in range(3):
        time_passes(floor)
    with database.reading(floor.engine) as connection:
        [finding] = issues.list_issues(connection, code="too_many_missing", acs_system_id=acs_system_id)
    made = len(creates(sim))

    approve(floor, olds[0])
    approve(floor, olds[1])

    assert (made, {states(floor, old)[0] for old in olds[2:]}) == (0, {"asked"})
    assert finding["detail"] == {"gone": 12, "held": 12}
    assert [states(floor, old) for old in olds[:2]] == [["created"], ["created"]]


def test_who_was_made_anew_and_is_gone_again_is_a_persons(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Somebody else deletes: no fight."""
    old = gone(floor, sim, acs_system_id)
    time_passes(floor)
    time_passes(floor)
    [new] = living(sim, acs_system_id, "Jack Doe")
    sim.world.delete_at_provider(new)
    look(floor, new)
    time_passes(floor)

    assert len(creates(sim)) == 1
    assert (states(floor, old), states(floor, new), codes(floor, new)) == (["created"], ["asked"], ["recreate_wanted"])


def test_who_comes_back_after_being_replaced_is_a_persons(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Two users for one person: told, never mended by us."""
    old = known(floor, sim, acs_system_id)
    record = sim.world.users.pop(old)
    look(floor, old)
    time_passes(floor)
    time_passes(floor)
    sim.world.users[old] = record
    look(floor, old)
    while_both_are_there = codes(floor, old)
    new = floor.user(old)["replaced_by"]
    sim.world.delete_at_provider(new)  # by a person, who decides so
    look(floor, new)
    look(floor, old)

    assert (while_both_are_there, codes(floor, old)) == (["recreate_unclear"], [])


def test_what_is_desired_of_a_replaced_user_makes_nobody(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """The customer's application knows only the old id, and writes it again."""
    old = gone(floor, sim, acs_system_id)
    time_passes(floor)
    floor.want(old, full_name="Jack Doe")
    look(floor, old)
    for _ in range(3):
        time_passes(floor)

    assert (len(creates(sim)), codes(floor, old)) == (1, ["recreate_unclear"])


OVER = Schedule(clock.parse("2020-01-01T10:00:00Z"), clock.parse("2020-02-01T10:00:00Z"))


@pytest.mark.parametrize(("values", "word"), [
    ({"access_schedule": OVER}, "is over"),
    ({"is_suspended": True}, "suspended"),
])  # fmt: skip
def test_who_could_not_enter_is_not_made_anew_by_itself(
    floor: Floor, sim: Running, acs_system_id: str, values: dict[str, Any], word: str
) -> None:
    """A new user must not be able to do more than the old one."""
    old = gone(floor, sim, acs_system_id, **values)
    time_passes(floor)

    assert (creates(sim), states(floor, old)) == ([], ["asked"])
    assert word in floor.user(old)["issues"][0]["message"]


@pytest.mark.parametrize(("repair", "expected"), [("off", []), ("plan", ["asked"])])
def test_nobody_is_made_where_nothing_is_written(
    floor: Floor, sim: Running, acs_system_id: str, repair: str, expected: list[str]
) -> None:
    """`plan` shows it, `off` does not look."""
    set_policy(floor, "system", acs_system_id, repair=repair)
    old = gone(floor, sim, acs_system_id)
    time_passes(floor)

    assert (creates(sim), states(floor, old)) == ([], expected)


def _says_no(floor: Floor, acs_user_id: str) -> None:
    with floor.engine.begin() as connection:
        desired.forget_desired(connection, acs_user_id)


def _pauses(floor: Floor, _acs_user_id: str) -> None:
    set_policy(floor, "all", "", paused_until=clock.now() + timedelta(hours=1))


def _says_never(floor: Floor, _acs_user_id: str) -> None:
    set_policy(floor, "all", "", recreate="never")


@pytest.mark.parametrize("happens", [_says_no, _pauses, _says_never])
def test_what_is_said_while_the_list_is_read_counts(
    floor: Floor, sim: Running, acs_system_id: str, happens: Callable[[Floor, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The look for people like this one may take a minute; the new user would be as the old one was all the same."""
    old = gone(floor, sim, acs_system_id)
    read = floor.tools.seam.user_pages

    def pages(system: str) -> Iterator[list[Mapping[str, Any]]]:
        happens(floor, old)
        yield from read(system)

    monkeypatch.setattr(floor.tools.seam, "user_pages", pages)
    make_now(floor)

    assert (creates(sim), living(sim, acs_system_id, "Jack Doe")) == ([], [])
