"""Absence is not deletion: what a resync does when a list is wrong, and when somebody is really gone."""

from __future__ import annotations

from typing import Any

import pytest

from seamkeeper import database, issues, missing, resyncs
from seamkeeper.errors import Temporary
from simulator.serve import Running
from tests.workers.conftest import Floor
from workers import resync, seam_api
from workers.seam_api import UserPage

GET, LIST = "/acs/users/get", "/acs/users/list"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten users."""
    monkeypatch.setattr(seam_api, "_PAGE", 10)


@pytest.fixture
def people(floor: Floor, sim: Running, acs_system_id: str) -> list[str]:
    """Thirty, all in the mirror."""
    found = [sim.world.add_user(acs_system_id=acs_system_id, full_name=f"P {each}") for each in range(30)]
    sync(floor, acs_system_id)
    sim.world.requests.clear()
    return found


def sync(floor: Floor, acs_system_id: str, **wishes: Any) -> None:
    resyncs.ask(floor.tools.queues, acs_system_id, why="a test", **wishes)
    floor.work()


def slice_of(floor: Floor, acs_system_id: str) -> None:
    resync.resync_system(floor.tools, acs_system_id, why="a test")
    floor.work()


def findings(floor: Floor) -> list[str]:
    with database.reading(floor.engine) as connection:
        return [each["code"] for each in issues.list_issues(connection) if each["kind"] == "finding"]


def healths(floor: Floor, people: list[str]) -> set[str]:
    return {floor.user(person)["health"] for person in people}


def gets(sim: Running) -> int:
    return len(sim.world.requests.list(GET))


def test_an_empty_list_is_one_finding_and_nobody_is_asked_for(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it comes; the next whole list clears it."""
    with monkeypatch.context() as patched:
        patched.setattr(floor.tools.seam, "user_page", lambda *_: UserPage([], None))
        for _ in range(3):
            slice_of(floor, acs_system_id)
    while_empty = findings(floor)
    asked = gets(sim)

    slice_of(floor, acs_system_id)

    assert (while_empty, asked, findings(floor)) == (["too_many_missing"], 0, [])
    assert healths(floor, people) == {"ok"}


def test_a_partial_list_is_one_finding(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that ends after its first page, as if that were all."""
    read = floor.tools.seam.user_page
    monkeypatch.setattr(floor.tools.seam, "user_page", lambda *_: UserPage(read(acs_system_id).users, None))

    slice_of(floor, acs_system_id)
    slice_of(floor, acs_system_id)

    assert (findings(floor), gets(sim), healths(floor, people)) == (["too_many_missing"], 0, {"ok"})


def test_a_list_that_breaks_off_says_nothing_about_anybody(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str]
) -> None:
    """The last page does not come: the pass waits where it is, and goes on from there."""
    sim.world.faults.add("status", path=LIST, times=1, status=500)

    with pytest.raises(Temporary):
        slice_of(floor, acs_system_id)
    slice_of(floor, acs_system_id)

    assert (findings(floor), gets(sim), healths(floor, people)) == ([], 0, {"ok"})


def test_a_key_that_seam_refuses_is_one_finding(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str]
) -> None:
    """Whoever meets it: two resyncs and the clock. The next answer clears it."""
    sim.world.faults.add("status", status=401)
    for _ in range(2):
        with pytest.raises(Temporary):
            resync.resync_system(floor.tools, acs_system_id, why="a test")
    with pytest.raises(Temporary):
        resync.resync_all(floor.tools, why="a test")
    refused = findings(floor)
    sim.world.faults.clear()

    slice_of(floor, acs_system_id)

    assert (refused, findings(floor), healths(floor, people)) == (["seam_refuses_us"], [], {"ok"})


def test_a_great_deletion_is_one_finding_until_a_person_says_that_it_is_genuine(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str]
) -> None:
    """Even then each is asked for, and only a 404 buries."""
    for person in people[:15]:
        del sim.world.users[person]
    sync(floor, acs_system_id)
    sync(floor, acs_system_id)
    before = (findings(floor), gets(sim), healths(floor, people))

    sync(floor, acs_system_id, accepts_missing=True)

    assert before == (["too_many_missing"], 0, {"ok"})
    assert (findings(floor), gets(sim)) == ([], 15)
    assert (healths(floor, people[:15]), healths(floor, people[15:])) == ({"deleted"}, {"ok"})


def test_one_who_is_really_gone_is_found_without_an_event(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str]
) -> None:
    """The complete list lacks them, and a GET says 404."""
    del sim.world.users[people[3]]

    sync(floor, acs_system_id)

    assert (findings(floor), gets(sim)) == ([], 1)
    assert floor.user(people[3])["health"] == "deleted"
    assert healths(floor, [each for each in people if each != people[3]]) == {"ok"}


@pytest.mark.parametrize("counted", [0, 3], ids=["seam-counts-nobody", "seam-counts-them"])
def test_the_last_few_of_a_system_are_gone_only_when_seam_counts_nobody(
    floor: Floor, sim: Running, acs_system_id: str, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of three are few; a list of nobody is doubtful all the same."""
    few = [sim.world.add_user(acs_system_id=acs_system_id) for _ in range(3)]
    sync(floor, acs_system_id)
    sim.world.requests.clear()
    for person in few:
        del sim.world.users[person]
    count = {"acs_system_id": acs_system_id, "acs_user_count": counted}
    monkeypatch.setattr(floor.tools.seam, "systems", lambda **_: [count])

    slice_of(floor, acs_system_id)

    assert findings(floor) == (["too_many_missing"] if counted else [])
    assert healths(floor, few) == ({"ok"} if counted else {"deleted"})


def test_who_came_during_the_list_is_not_missing(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event brought them while the pages were read."""
    read = floor.tools.seam.user_page
    late: list[str] = []

    def page(*arguments: Any) -> UserPage:
        found: UserPage = read(*arguments)
        if not late:
            late.append(sim.world.add_user(acs_system_id=acs_system_id))
            floor.tools.queues.ask_reconcile(late[0], why="a test", source="webhook")
            floor.work()
        return UserPage([raw for raw in found.users if raw["acs_user_id"] not in late], found.cursor)

    monkeypatch.setattr(floor.tools.seam, "user_page", page)
    slice_of(floor, acs_system_id)

    assert gets(sim) == 1
    assert healths(floor, late) == {"ok"}


def test_a_system_that_seam_does_not_know_any_more_loses_nobody(
    floor: Floor, sim: Running, acs_system_id: str, people: list[str]
) -> None:
    """404 for the whole system: a finding, and no dead job."""
    no_system = {"error": {"type": "acs_system_not_found", "message": "no such system"}}
    sim.world.faults.add("json", path=LIST, status=404, body=no_system)

    sync(floor, acs_system_id)

    assert (findings(floor), floor.failed(), healths(floor, people)) == (["too_many_missing"], [], {"ok"})


@pytest.mark.parametrize("first", ["missing", "gone"])
def test_the_two_sides_of_too_many_missing_take_back_only_their_own(
    floor: Floor, acs_system_id: str, first: missing.Side
) -> None:
    """A resync's good list must not end what waits for a person, nor a person's yes what a list still lacks."""
    second: missing.Side = "gone" if first == "missing" else "missing"
    with floor.engine.begin() as connection:
        is_new = [missing.raise_it(connection, acs_system_id, side, number=20, held=40) for side in (first, second)]
        [both] = issues.list_issues(connection, acs_system_id=acs_system_id)
        missing.clear(connection, acs_system_id, first)
        [rest] = issues.list_issues(connection, acs_system_id=acs_system_id)
        missing.clear(connection, acs_system_id, first)
        is_left = missing.is_said(connection, acs_system_id, second)
        missing.clear(connection, acs_system_id, second)

        assert issues.list_issues(connection, acs_system_id=acs_system_id) == []
    assert (is_new, is_left) == ([True, False], True)
    assert both["detail"] == {"missing": 20, "gone": 20, "held": 40}
    assert rest["detail"] == {second: 20, "held": 40}
