"""A resync: who is written at once, who is asked for, and how a pass goes on after whatever cut it short."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from seamkeeper import clock, database, history, resyncs
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.folding import KEYS
from seamkeeper.policies import set_policy
from seamkeeper.queues import RESYNC_SYSTEM
from simulator.serve import Running
from tests.workers.conftest import Floor
from workers import resync, resync_page, seam_api

GET, LIST = "/acs/users/get", "/acs/users/list"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten users: what holds for five hundred holds for ten."""
    monkeypatch.setattr(seam_api, "_PAGE", 10)


def add_users(sim: Running, acs_system_id: str, number: int) -> list[str]:
    return [sim.world.add_user(acs_system_id=acs_system_id, full_name=f"P {each}") for each in range(number)]


def sync(floor: Floor, acs_system_id: str, **wishes: Any) -> None:
    """A whole resync, with all it asks for."""
    resyncs.ask(floor.tools.queues, acs_system_id, why="a test", **wishes)
    floor.work()


def calls(sim: Running, path: str) -> int:
    return len(sim.world.requests.list(path))


def rhythm(floor: Floor, acs_system_id: str) -> resyncs.Rhythm:
    with database.reading(floor.engine) as connection:
        return resyncs.rhythm_of(connection, acs_system_id)


def lines(floor: Floor, acs_user_id: str) -> list[tuple[str, str]]:
    with database.reading(floor.engine) as connection:
        return [(line["what"], line["source"]) for line in history.history(connection, acs_user_id)]


def slice_of(floor: Floor, acs_system_id: str, *, goes_on: bool = False) -> None:
    """One slice, in this thread."""
    resync.resync_system(floor.tools, acs_system_id, why="a test", goes_on=goes_on)


def test_a_first_fill_costs_a_call_per_page(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Who is new, healthy and not managed is written from the page, with the line of the history."""
    people = add_users(sim, acs_system_id, 25)
    began = clock.now()

    sync(floor, acs_system_id)

    shown = [floor.user(person) for person in people]
    assert (calls(sim, LIST), calls(sim, GET)) == (3, 0)
    assert [user["observed"] for user in shown] == [sim.world.user(person) for person in people]
    assert {(user["sync"], user["health"], user["reason"]) for user in shown} == {
        ("unknown", "ok", "nothing is desired of this user")
    }
    assert all(began <= clock.parse(user["read_at"]) <= clock.now() for user in shown)
    assert lines(floor, people[0]) == [("acs_user.appeared", "resync")]
    assert rhythm(floor, acs_system_id).written == 25


def test_a_first_fill_is_as_if_each_had_been_looked_at(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row for row: what a page writes is what a reconcile writes, but for the times."""
    at_once, looked_at = add_users(sim, acs_system_id, 2)
    sync(floor, acs_system_id)
    monkeypatch.setattr(resync_page, "_is_quiet", lambda _raw: False)
    with floor.engine.begin() as connection:
        connection.execute(database.acs_users.delete().where(database.acs_users.c.acs_user_id == looked_at))

    sync(floor, acs_system_id)

    with database.reading(floor.engine) as connection:
        rows = {row["acs_user_id"]: row for row in connection.execute(database.acs_users.select()).mappings()}
    own = {"acs_user_id", "observed", "read_at", "first_seen_at", "changed_at", "display_name", "full_name"}
    own |= {"email_address", "phone_number", *KEYS}
    first, second = (
        {name: row[name] for name in row if name not in own} for row in map(rows.get, (at_once, looked_at))
    )  # type: ignore[union-attr]
    assert calls(sim, GET) == 1
    assert first == second


@pytest.mark.parametrize("case", ["error", "warning", "pending", "desired", "announced"])
def test_who_is_new_and_not_plain_is_looked_at(floor: Floor, sim: Running, acs_system_id: str, case: str) -> None:
    """The user's turn does what it always does: issues, desired values, later looks."""
    plain, special = add_users(sim, acs_system_id, 2)
    if case == "error":
        sim.world.raise_error(special, "failed_to_update_on_acs_system")
    elif case == "warning":
        sim.world.raise_warning(special, "unknown_issue_with_acs_user")
    elif case == "pending":
        sim.world.settings.is_holding = True
        sim.world.update_user(sim.world.find_user(special), {"full_name": "Jane Doe"})
    elif case == "desired":
        floor.want(special, full_name="Jane Doe")
    else:
        with floor.engine.begin() as connection:
            connection.execute(database.events.insert().values(
                event_id="e1", event_type="acs_user.deleted", acs_user_id=special, status="done", source="webhook",
                received_at=clock.now(), occurred_at=clock.now(), body="{}",
            ))  # fmt: skip

    sync(floor, acs_system_id)

    asked = {each.params.get("acs_user_id") for each in sim.world.requests.list(GET)}
    assert asked == {special}
    assert floor.user(plain)["health"] == "ok"


def test_only_differences_are_looked_at(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """A name that was edited at the provider, without an event; the time of the last synchronisation is none."""
    people = add_users(sim, acs_system_id, 25)
    sync(floor, acs_system_id)
    for person in people[:3]:
        sim.world.find_user(person).synced_at += timedelta(minutes=1)
    sim.world.edit_at_provider(people[7], full_name="Edited")
    sim.world.requests.clear()

    sync(floor, acs_system_id)

    assert (calls(sim, LIST), calls(sim, GET)) == (3, 1)
    assert floor.user(people[7])["observed"]["full_name"] == "Edited"
    assert lines(floor, people[7])[0] == ("acs_user.changed", "resync")


def test_a_page_that_is_older_than_a_tombstone_resurrects_nobody(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user was deleted and buried while the page was on its way."""
    person, other = add_users(sim, acs_system_id, 2)
    read, is_late = floor.tools.seam.user_page, [True]

    def late(*arguments: Any) -> Any:
        page = read(*arguments)
        if is_late.pop():
            sim.world.delete_at_provider(person)
            floor.happened("acs_user.deleted", person)
        return page

    monkeypatch.setattr(floor.tools.seam, "user_page", late)
    slice_of(floor, acs_system_id)
    floor.work()

    assert floor.user(person)["health"] == "deleted"
    assert floor.user(other)["health"] == "ok"


def test_a_killed_worker_s_pass_goes_on_from_its_cursor(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page is read twice but the one it died in, and the one that was on its way."""
    people = add_users(sim, acs_system_id, 45)
    keep, pages = resync._keep_page, list[int]()

    def die(*arguments: Any) -> Any:
        pages.append(1)
        if len(pages) == 3:
            raise KeyboardInterrupt
        return keep(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(resync, "_keep_page", die)
        with pytest.raises(KeyboardInterrupt):
            slice_of(floor, acs_system_id)
    sim.world.requests.clear()

    slice_of(floor, acs_system_id)

    assert calls(sim, LIST) == 3
    assert {floor.user(person)["health"] for person in people} == {"ok"}
    assert (rhythm(floor, acs_system_id).outcome, rhythm(floor, acs_system_id).listed) == ("ok", 45)


def test_a_long_pass_is_done_in_slices(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that has no more time asks for the next one; together they are one pass."""
    people = add_users(sim, acs_system_id, 45)
    monkeypatch.setattr(resync, "remaining", lambda _at_most: 0.0)

    sync(floor, acs_system_id)

    found = rhythm(floor, acs_system_id)
    assert (found.number, found.pages, found.listed, found.outcome) == (1, 5, 45, "ok")
    assert calls(sim, LIST) == 5
    assert {floor.user(person)["health"] for person in people} == {"ok"}


def test_who_asks_during_a_pass_gets_one_more(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed by then may be older than what they ask for; ten of them are one."""
    add_users(sim, acs_system_id, 25)
    monkeypatch.setattr(resync, "remaining", lambda _at_most: 0.0)
    slice_of(floor, acs_system_id)

    for _ in range(10):
        floor.tools.queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why="another")
    floor.work()

    assert (rhythm(floor, acs_system_id).number, calls(sim, LIST)) == (2, 6)


def test_a_second_job_leaves_the_system_to_the_first(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """Never two passes of one system at a time: it comes again later, and costs none of its tries."""
    add_users(sim, acs_system_id, 1)
    floor.redis.set(floor.tools.queues.keys.resync_turn(acs_system_id), "somebody", px=60_000)

    floor.tools.queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why="a test")
    floor.work(rounds=3)
    meanwhile = calls(sim, LIST)
    floor.redis.delete(floor.tools.queues.keys.resync_turn(acs_system_id))
    floor.work()

    assert (meanwhile, floor.failed()) == (0, [])
    assert rhythm(floor, acs_system_id).outcome == "ok"


@pytest.mark.parametrize("forgotten", ["some-ids", "the-pass", "cursor", "an-hour"])
def test_a_pass_that_cannot_go_on_begins_anew(
    floor: Floor, sim: Running, acs_system_id: str, forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was met and forgotten would look missing; a list of an hour ago and one of now are two."""
    people = add_users(sim, acs_system_id, 25)
    with monkeypatch.context() as patched:
        patched.setattr(resync, "remaining", lambda _at_most: 0.0)
        slice_of(floor, acs_system_id)
    keys = floor.tools.queues.keys
    if forgotten == "some-ids":
        floor.redis.srem(keys.resync_met(acs_system_id), people[0])
    elif forgotten == "the-pass":
        floor.redis.delete(keys.resync_pass(acs_system_id))
    elif forgotten == "cursor":
        floor.redis.hset(keys.resync_pass(acs_system_id), "cursor", "bm90IGEgY3Vyc29y")
    else:
        old = clock.iso(clock.now() - timedelta(hours=1, minutes=1))
        floor.redis.hset(keys.resync_pass(acs_system_id), "began", old)

    floor.work()

    found = rhythm(floor, acs_system_id)
    assert (found.pages, found.listed, found.outcome) == (3, 25, "ok")
    assert {floor.user(person)["health"] for person in people} == {"ok"}


def test_a_cursor_that_is_refused_twice_is_an_error(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins anew once; then the job fails, and is tried again like any other."""
    add_users(sim, acs_system_id, 25)
    read = floor.tools.seam.user_page
    monkeypatch.setattr(
        floor.tools.seam, "user_page", lambda system, cursor: read(system, cursor and "bm90IGEgY3Vyc29y")
    )

    slice_of(floor, acs_system_id)
    with pytest.raises(Temporary):
        slice_of(floor, acs_system_id, goes_on=True)

    assert calls(sim, LIST) == 4


def test_a_list_in_a_circle_is_left(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same page with other cursors, for ever: nobody is missing because of it, and it ends."""
    add_users(sim, acs_system_id, 25)
    first = floor.tools.seam.user_page(acs_system_id)
    turns = iter(range(1000))
    monkeypatch.setattr(
        floor.tools.seam, "user_page", lambda *_: seam_api.UserPage(first.users, f"cursor{next(turns)}")
    )

    slice_of(floor, acs_system_id)
    with pytest.raises(Temporary):
        slice_of(floor, acs_system_id, goes_on=True)

    assert next(turns) < 10


def test_what_is_off_is_not_read_again_and_again(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """With repairs off nothing is compared, so that nobody is unsettled; another policy looks at them again."""
    people = add_users(sim, acs_system_id, 3)
    for person in people:
        floor.want(person, full_name="Jane Doe")
    with floor.engine.begin() as connection:
        set_policy(connection, "system", acs_system_id, by="a test", repair="off")
    sync(floor, acs_system_id)
    sim.world.requests.clear()

    sync(floor, acs_system_id)
    while_off = calls(sim, GET)
    with floor.engine.begin() as connection:
        set_policy(connection, "system", acs_system_id, by="a test", repair="apply")
    sync(floor, acs_system_id)

    assert while_off == 0
    assert {floor.user(person)["sync"] for person in people} == {"in_sync"}


def test_in_full_everybody_who_is_managed_or_has_an_issue_is_read(
    floor: Floor, sim: Running, acs_system_id: str
) -> None:
    """Also those about whom the list says nothing new."""
    plain, managed, ill = add_users(sim, acs_system_id, 3)
    floor.want(managed, full_name=sim.world.find_user(managed).full_name)
    sim.world.raise_warning(ill, "latch_resident_user")
    sync(floor, acs_system_id)
    sim.world.requests.clear()

    sync(floor, acs_system_id)
    ordinarily = calls(sim, GET)
    sync(floor, acs_system_id, is_full=True)

    assert ordinarily == 0
    assert {each.params["acs_user_id"] for each in sim.world.requests.list(GET)} == {managed, ill}
    assert floor.user(plain)["health"] == "ok"


def test_a_system_that_seam_refuses_to_list_ends_as_failed(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for it hears why, and the next one begins anew."""

    def refuse(*_arguments: Any) -> Any:
        raise Permanent("GET /acs/users/list: 400")

    with monkeypatch.context() as patched:
        patched.setattr(floor.tools.seam, "user_page", refuse)
        with pytest.raises(Permanent):
            slice_of(floor, acs_system_id)
    failed = rhythm(floor, acs_system_id)
    slice_of(floor, acs_system_id)

    assert (failed.outcome, failed.trouble) == ("failed", "GET /acs/users/list: 400")
    assert (rhythm(floor, acs_system_id).number, rhythm(floor, acs_system_id).outcome) == (2, "ok")


@pytest.mark.parametrize("value", [5, None, ["s1"], {"id": "s1"}], ids=["number", "null", "list", "object"])
def test_an_access_system_id_that_is_none_makes_no_dead_job(
    floor: Floor, sim: Running, acs_system_id: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a user is kept as read, with issues and drift, and belongs to no system that we know."""
    (person,) = add_users(sim, acs_system_id, 1)
    sim.world.raise_error(person, "failed_to_update_on_acs_system")
    floor.want(person, phone_number="")  # a finding, since it cannot be set
    shape = sim.world.shape
    monkeypatch.setattr(sim.world, "shape", lambda user: {**shape(user), "acs_system_id": value})

    sync(floor, acs_system_id)

    shown = floor.user(person)
    assert floor.failed() == []
    assert (shown["observed"]["acs_system_id"], shown["acs_system_id"], shown["health"]) == (value, None, "error")
    assert {issue["code"] for issue in shown["issues"]} == {"failed_to_update_on_acs_system", "cannot_be_set"}


def test_an_ask_does_not_wait_for_the_back_off_of_a_broken_one(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """A retry may be due in an hour; who asks meanwhile wants it now, and there is still one job."""
    queues = floor.tools.queues
    sim.world.faults.add("status", path=LIST, status=503)
    first = resyncs.ask(queues, acs_system_id, why="a test")
    floor.work(include_later=False)
    floor.redis.zadd(queues.keys.scheduled("resync"), {first: 4_000_000_000}, xx=True)

    again = resyncs.ask(queues, acs_system_id, why="a test")

    due = floor.redis.zscore(queues.keys.scheduled("resync"), first)
    assert again == first
    assert due is not None
    assert due <= clock.now().timestamp() + 1


def test_wishes_outlive_a_beginning_that_failed(
    floor: Floor, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database went away at that moment: the next try begins what was asked for."""
    resyncs.ask(floor.tools.queues, acs_system_id, why="a test", is_full=True, accepts_missing=True)
    with monkeypatch.context() as patched:
        patched.setattr(resyncs, "change", lambda *_args, **_values: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            slice_of(floor, acs_system_id)
    begun: list[Any] = []
    monkeypatch.setattr(resync, "_go_on", lambda _tools, _mine, place, **_how: begun.append(place) or False)

    slice_of(floor, acs_system_id)

    assert [(place.is_full, place.accepts_missing) for place in begun] == [(True, True)]
    assert not floor.redis.exists(floor.tools.queues.keys.resync_wish(acs_system_id))


def test_a_pass_that_begins_anew_since_it_is_old_is_still_in_full(
    floor: Floor, acs_system_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night's resync stood behind others for an hour, and the clock asked once more meanwhile."""
    begun: list[Any] = []
    monkeypatch.setattr(resync, "_go_on", lambda _tools, _mine, place, **_how: begun.append(place) or False)
    resyncs.ask(floor.tools.queues, acs_system_id, why="a test", is_full=True)
    slice_of(floor, acs_system_id)
    key = floor.tools.queues.keys.resync_pass(acs_system_id)
    old = clock.iso(clock.now() - timedelta(hours=2))
    floor.redis.hset(key, mapping={"began": old, "job_id": "another"})

    slice_of(floor, acs_system_id)

    assert [place.is_full for place in begun] == [True, True]


@pytest.mark.parametrize("strange", ["x" * 300, "\0"], ids=["too long", "nul"])
def test_a_user_whom_the_database_refuses_keeps_nobody_else_out(
    floor: Floor, sim: Running, acs_system_id: str, monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    """The page is looked at one by one then, and the pass comes to its end."""
    people = add_users(sim, acs_system_id, 4)
    user_page = floor.tools.seam.user_page

    def strange_page(*args: Any) -> Any:
        page = user_page(*args)
        return replace(page, users=[
            {**raw, "connected_account_id": strange} if raw["acs_user_id"] == people[1] else raw for raw in page.users
        ])  # fmt: skip

    monkeypatch.setattr(floor.tools.seam, "user_page", strange_page)

    sync(floor, acs_system_id)

    assert [floor.user(person)["health"] for person in people] == ["ok"] * 4
    assert rhythm(floor, acs_system_id).outcome == "ok"


def test_looks_that_wait_are_not_over(floor: Floor, sim: Running, acs_system_id: str) -> None:
    """They stand in the queue `resync`, behind all else: who waits for the resync waits for them, too."""
    ill = add_users(sim, acs_system_id, 2)[0]
    sim.world.raise_error(ill, "failed_to_update_on_acs_system")

    slice_of(floor, acs_system_id)
    before = resyncs.looks_left(floor.tools.queues, acs_system_id)
    floor.work()

    assert (before, resyncs.looks_left(floor.tools.queues, acs_system_id)) == (1, 0)
