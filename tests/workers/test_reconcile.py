"""From an event to a repaired person, at the simulator, on both databases: the state of the world after it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy import text as sql

from seamkeeper import clock, database, history, mirror
from seamkeeper.accept import unreadable_job
from seamkeeper.database import acs_users, issues
from simulator.serve import Running
from tests.signing import event
from tests.stack import eventually
from tests.workers.conftest import Floor

SCHEDULE = {"starts_at": "2026-11-01T10:00:00.000Z", "ends_at": "2099-12-01T10:00:00.000Z"}
UPDATE, SUSPEND = "/acs/users/update", "/acs/users/suspend"


def updates(sim: Running) -> list[dict[str, Any]]:
    """The bodies of the updates that Seam was sent."""
    return [seen.params for seen in sim.world.requests.list(UPDATE)]


def history_of(floor: Floor, acs_user_id: str) -> list[str]:
    """What was found and done, oldest first."""
    with database.reading(floor.engine) as connection:
        return [line["what"] for line in reversed(history.history(connection, acs_user_id))]


def test_a_drifted_user_is_repaired(floor: Floor, sim: Running) -> None:
    """One update with the drifted fields only, chosen by acs_user_id; then Seam shows what is desired."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550222")
    floor.want(acs_user_id, full_name="Jack Doe", phone_number="+15555550100")

    shown = floor.happened("acs_user.created", acs_user_id)

    assert (shown["status"], shown["source"], shown["attempts"][0]["outcome"]) == ("done", "webhook", "ok")
    assert updates(sim) == [{"acs_user_id": acs_user_id, "phone_number": "+15555550100"}]
    user = floor.user(acs_user_id)
    assert (user["sync"], user["drift"], user["observed"]["phone_number"]) == ("in_sync", {}, "+15555550100")
    assert history_of(floor, acs_user_id) == [
        "acs_user.appeared", "acs_user.drifted", UPDATE, "acs_user.changed", "acs_user.in_sync",
    ]  # fmt: skip


def test_who_moved_a_field_is_kept_until_it_is_put_right(floor: Floor, sim: Running) -> None:
    """What it was before somebody else moved it, and when that was seen; our own writes are no such move."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550100")
    floor.want(acs_user_id, full_name="Jack Doe", phone_number="+15555550100")
    floor.happened("acs_user.created", acs_user_id)
    sim.world.settings.is_holding = True
    sim.world.edit_at_provider(acs_user_id, phone_number="+15555550222")

    floor.happened("acs_user.created", acs_user_id)

    with database.reading(floor.engine) as connection:
        moved = mirror.moved_of(connection, acs_user_id)
    assert {name: each["from"] for name, each in moved.items()} == {"phone_number": "+15555550100"}
    sim.world.drain()
    floor.happened("acs_user.created", acs_user_id)
    with database.reading(floor.engine) as connection:
        assert mirror.moved_of(connection, acs_user_id) == {}


def test_accepted_is_not_applied(floor: Floor, sim: Running) -> None:
    """After the update the user is `applying`, and is not written to again while the mutation leads there."""
    sim.world.settings.is_holding = True
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")

    for _ in range(3):
        floor.happened("acs_user.created", acs_user_id)

    assert floor.user(acs_user_id)["sync"] == "applying"
    assert len(updates(sim)) == 1
    sim.world.drain()
    floor.happened("acs_user.created", acs_user_id)
    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_a_schedule_is_repaired_and_removed(floor: Floor, sim: Running) -> None:
    """Both ends are sent; null takes the schedule away."""
    acs_user_id = sim.world.add_user(access_schedule=None)

    floor.want(acs_user_id, access_schedule=SCHEDULE)
    floor.happened("acs_user.created", acs_user_id)
    with_schedule = floor.user(acs_user_id)
    floor.want(acs_user_id, access_schedule=None)
    floor.happened("acs_user.created", acs_user_id)

    assert with_schedule["sync"] == "in_sync"
    assert updates(sim) == [
        {"acs_user_id": acs_user_id, "access_schedule": SCHEDULE},
        {"acs_user_id": acs_user_id, "access_schedule": None},
    ]
    assert floor.user(acs_user_id)["observed"].get("access_schedule") is None


def test_nothing_is_written_to_a_user_of_whom_nothing_is_desired(floor: Floor, sim: Running) -> None:
    """The mirror holds them all the same."""
    acs_user_id = sim.world.add_user()

    floor.happened("acs_user.created", acs_user_id)

    user = floor.user(acs_user_id)
    assert (user["sync"], user["health"], user["desired"]) == ("unknown", "ok", {})
    assert user["observed"] == sim.world.user(acs_user_id)
    assert updates(sim) == []


def test_a_deleted_user_becomes_a_tombstone_and_is_not_written_to(floor: Floor, sim: Running) -> None:
    """Also when their values had drifted before."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)
    floor.want(acs_user_id, full_name="Jane Doe")
    sim.world.delete_at_provider(acs_user_id)

    floor.happened("acs_user.deleted", acs_user_id)

    user = floor.user(acs_user_id)
    assert (user["health"], user["sync"], user["drift"]) == ("deleted", "unknown", {})
    assert user["deleted_at"] is not None
    assert updates(sim) == []


def test_a_late_created_does_not_undo_a_tombstone(floor: Floor, sim: Running) -> None:
    """Order is best effort: `created` may come after `deleted`."""
    acs_user_id = sim.world.add_user()
    sim.world.delete_at_provider(acs_user_id)

    floor.happened("acs_user.deleted", acs_user_id)
    floor.happened("acs_user.created", acs_user_id)

    assert floor.user(acs_user_id)["health"] == "deleted"


def test_a_deletion_that_is_under_way_is_awaited(floor: Floor, sim: Running) -> None:
    """`being_deleted`: never an update; the later looks find the end."""
    sim.world.settings.is_holding = True
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    sim.world.delete_user(sim.world.users[acs_user_id])
    name = floor.receive(event("acs_user.deleted", acs_user_id=acs_user_id))

    floor.work(include_later=False)
    underway = floor.user(acs_user_id)
    sim.world.drain()
    floor.work()

    assert floor.event(name)["status"] == "done"
    assert (underway["sync"], underway["health"], underway["reason"]) == (
        "drifted", "warning", "the user is being deleted",
    )  # fmt: skip
    assert floor.user(acs_user_id)["health"] == "deleted"
    assert updates(sim) == []


def test_a_user_who_was_announced_and_is_not_there_yet_is_looked_for_again(floor: Floor, sim: Running) -> None:
    """The event can be ahead of the API; only after more looks there is a tombstone."""
    unknown = str(uuid.uuid4())

    floor.receive(event("acs_user.created", acs_user_id=unknown))
    floor.work(include_later=False)
    later = floor.pull_forward()
    floor.work()

    assert later == 1
    assert floor.user(unknown)["health"] == "deleted"
    assert len(sim.world.requests.list("/acs/users/get")) == 3


def test_errors_and_warnings_are_issues_until_they_clear(floor: Floor, sim: Running) -> None:
    """Seam sends nothing about them; unknown codes are kept."""
    acs_user_id = sim.world.add_user()
    sim.world.raise_error(acs_user_id, "failed_to_update_on_acs_system")
    sim.world.raise_warning(acs_user_id, "a_code_of_next_year")

    floor.happened("acs_user.created", acs_user_id)
    raised = floor.user(acs_user_id)
    sim.world.clear_issue(acs_user_id)
    floor.happened("acs_user.created", acs_user_id)

    assert raised["health"] == "error"
    assert {issue["code"] for issue in raised["issues"]} == {"failed_to_update_on_acs_system", "a_code_of_next_year"}
    assert floor.user(acs_user_id)["issues"] == []
    assert history_of(floor, acs_user_id)[1:] == [
        "acs_user.error_raised", "acs_user.warning_raised", "acs_user.error_cleared", "acs_user.warning_cleared",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("phone_number", "5555550100", "E.164"),
        ("full_name", "  ", "empty"),
        ("access_schedule", {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z"}, "in the past"),
        ("access_schedule", {"starts_at": "2099-01-02T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}, "not after"),
    ],
    ids=["phone", "name", "past", "reversed"],
)
def test_what_seam_would_refuse_is_not_sent(floor: Floor, sim: Running, field: str, value: Any, word: str) -> None:
    """The customer's application can write anything into `desired_users`: the job is dead at once, with a reason."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550222", access_schedule=None)
    floor.want(acs_user_id, **{field: value})

    floor.happened("acs_user.created", acs_user_id)

    assert updates(sim) == []
    user = floor.user(acs_user_id)
    assert user["sync"] == "drifted"
    assert word in user["reason"]
    assert len(floor.failed()) == 1


def test_the_good_fields_are_repaired_beside_a_bad_one(floor: Floor, sim: Running) -> None:
    """A typing mistake in a phone number does not keep a name wrong."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550222")
    floor.want(acs_user_id, full_name="Jane Doe", phone_number="12")

    floor.happened("acs_user.created", acs_user_id)

    assert updates(sim) == [{"acs_user_id": acs_user_id, "full_name": "Jane Doe"}]
    user = floor.user(acs_user_id)
    assert (set(user["drift"]), user["observed"]["full_name"]) == ({"phone_number"}, "Jane Doe")  # accepted, and looked
    assert "E.164" in user["reason"]
    assert len(floor.failed()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 429, "retry_after": 1},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "html", "status": 404},
        {"kind": "bare_ok"},
        {"kind": "redirect"},
        {"kind": "drop"},
        {"kind": "status", "status": 401},
    ],
    ids=lambda fault: "-".join(str(part) for part in fault.values()),
)
def test_a_seam_that_fails_for_now_is_asked_again(floor: Floor, sim: Running, fault: dict[str, Any]) -> None:
    """No failure of Seam, and no page of a proxy, is taken for an answer: not even a 404 page for a deletion."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    sim.world.faults.add(**fault, path="/acs/users/get", times=2)

    floor.happened("acs_user.created", acs_user_id)
    if "retry_after" in fault:  # everybody waits so long, in earnest, and then goes on slowly

        def is_in_sync() -> bool:
            floor.work(rounds=3)
            return bool(floor.user(acs_user_id)["sync"] == "in_sync")

        eventually(is_in_sync, what="the repair")

    user = floor.user(acs_user_id)
    assert (user["sync"], user["observed"]["full_name"]) == ("in_sync", "Jane Doe")
    assert floor.failed() == []


def test_an_update_whose_answer_was_lost_is_not_taken_for_done(floor: Floor, sim: Running) -> None:
    """The SDK gives a 200 page back as success; we read again, and the line of the write says `unknown`."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    sim.world.faults.add("html", status=200, path=UPDATE, times=1)

    floor.happened("acs_user.created", acs_user_id)

    assert floor.user(acs_user_id)["sync"] == "in_sync"
    with database.reading(floor.engine) as connection:
        lines = [line for line in history.history(connection, acs_user_id) if line["what"] == UPDATE]
    assert [line["detail"]["outcome"] for line in reversed(lines)] == ["unknown", "ok"]


def test_a_refused_update_is_dead_with_seams_reason(floor: Floor, sim: Running) -> None:
    """400 will not succeed by retry."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    sim.world.faults.add("status", status=400, path=UPDATE)

    floor.happened("acs_user.created", acs_user_id)

    assert len(updates(sim)) == 1
    assert len(floor.failed()) == 1
    assert "400" in floor.user(acs_user_id)["reason"]


def test_an_outage_that_outlasts_the_retries_is_dead_with_its_attempts(floor: Floor, sim: Running) -> None:
    """Nothing is lost: the failed registry and the journal hold it."""
    sim.world.faults.add("status", status=503, path="/acs/credentials/get")

    name = floor.receive(event("acs_credential.issued", acs_credential_id="c1"))
    floor.work()

    shown = floor.event(name)
    assert shown["status"] == "dead"
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["retry", "retry", "retry", "dead"]
    assert "503" in shown["reason"]
    assert floor.failed() == [name]


def test_an_older_observation_never_overwrites_a_newer_one(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newer wins, by the clock read before the request."""
    acs_user_id = sim.world.add_user(full_name="New Name")
    floor.happened("acs_user.created", acs_user_id)
    newer = floor.user(acs_user_id)
    sim.world.edit_at_provider(acs_user_id, full_name="Stale answer")
    earlier = clock.now() - timedelta(minutes=10)

    monkeypatch.setattr("workers.reconcile.clock.now", lambda: earlier)
    floor.happened("acs_user.created", acs_user_id)

    assert floor.user(acs_user_id)["observed"]["full_name"] == "New Name"
    assert floor.user(acs_user_id)["read_at"] == newer["read_at"]


@pytest.mark.parametrize("event_type", ["lock.unlocked", "user_identity.created", "acs_encoder.added"])
def test_types_without_a_reaction_are_kept_and_ignored(floor: Floor, event_type: str) -> None:
    """Stored, acknowledged, settled."""
    shown = floor.happened(event_type, str(uuid.uuid4()))

    assert (shown["status"], shown["settled_at"] is not None) == ("ignored", True)


def test_an_unreadable_body_is_quarantined(floor: Floor) -> None:
    """As it came, with the reason."""
    floor.enqueue(
        unreadable_job(
            "unreadable-1", "not \x00 json", reason="the body is not JSON", received_at=clock.now(), delivery="msg"
        )
    )
    floor.work()

    shown = floor.event("unreadable-1")

    assert (shown["status"], shown["reason"]) == ("quarantined", "the body is not JSON")


def test_many_events_about_one_user_are_few_reads(floor: Floor, sim: Running) -> None:
    """A thousand in a burst: at most three reads at Seam."""
    acs_user_id = sim.world.add_user()
    for _ in range(200):
        floor.receive(event("acs_user.created", acs_user_id=acs_user_id))

    floor.work()

    assert len(sim.world.requests.list("/acs/users/get")) <= 3


def test_a_job_that_runs_twice_changes_nothing(floor: Floor, sim: Running) -> None:
    """At least once: the same event handled again, the same reads, no second write."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    payload = event("acs_user.created", acs_user_id=acs_user_id)

    for _ in range(3):
        floor.receive(payload)
        floor.work()

    assert len(updates(sim)) == 1
    assert floor.event(payload["event_id"])["status"] == "done"


def test_a_user_whose_turn_is_taken_is_done_when_it_ends(floor: Floor, sim: Running) -> None:
    """Never two at once; the second comes again, which is no failure."""
    acs_user_id = sim.world.add_user()
    token = floor.tools.queues.take_turn(acs_user_id, job_id="another", lasts=timedelta(seconds=60))
    assert token is not None
    floor.receive(event("acs_user.created", acs_user_id=acs_user_id))

    floor.work(rounds=3)
    reads = len(sim.world.requests.list("/acs/users/get"))
    floor.tools.queues.give_turn_back(acs_user_id, token)
    floor.work()

    assert reads == 0
    assert floor.user(acs_user_id)["health"] == "ok"
    assert floor.failed() == []


def test_an_update_that_seam_accepts_and_does_not_keep_is_not_sent_for_ever(floor: Floor, sim: Running) -> None:
    """A value that Seam silently changes back: a few tries, then an issue for a person; another value is tried anew."""
    sim.world.settings.ignored_fields = {"full_name"}
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")

    for _ in range(3):
        floor.happened("acs_user.created", acs_user_id)
    sim.world.settings.ignored_fields = set()

    user = floor.user(acs_user_id)
    assert len(updates(sim)) == 3
    assert (user["sync"], [issue["code"] for issue in user["issues"]]) == ("drifted", ["update_keeps_failing"])
    assert "did not stay" in user["reason"]
    floor.want(acs_user_id, full_name="Janet Doe")
    floor.happened("acs_user.created", acs_user_id)
    assert (floor.user(acs_user_id)["sync"], floor.user(acs_user_id)["issues"]) == ("in_sync", [])


def test_who_is_announced_as_deleted_is_not_written_to_while_seam_still_shows_them(floor: Floor, sim: Running) -> None:
    """The event can be ahead of the API, and its ask can end in a job that waits for another reason: no update, and
    the later looks find the end."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    floor.tools.queues.ask_reconcile(acs_user_id, why="acs_credential.issued e1", source="webhook")
    floor.receive(event("acs_user.deleted", acs_user_id=acs_user_id))

    floor.work(include_later=False)
    announced = floor.user(acs_user_id)
    sim.world.delete_at_provider(acs_user_id)
    floor.work()

    assert updates(sim) == []
    assert (announced["health"], announced["reason"]) == ("ok", "the deletion of the user was announced")
    assert floor.user(acs_user_id)["health"] == "deleted"


def test_who_was_created_after_a_deletion_is_repaired_again(floor: Floor, sim: Running) -> None:
    """What Seam announced last counts, by the time it happened: nobody is given up for an old event."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    before = clock.iso(clock.now() - timedelta(minutes=1))

    floor.happened("acs_user.created", acs_user_id)
    floor.happened("acs_user.deleted", acs_user_id, occurred_at=before)

    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_a_look_of_a_clock_that_is_behind_is_taken_once_more(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines, two clocks: what the slower one saw is not kept, and must not be the last look either."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)
    sim.world.edit_at_provider(acs_user_id, full_name="Jane Doe")
    earlier = clock.now() - timedelta(seconds=30)

    with monkeypatch.context() as patched:
        patched.setattr("workers.reconcile.clock.now", lambda: earlier)
        floor.receive(event("acs_user.created", acs_user_id=acs_user_id))
        floor.work(include_later=False)
    floor.work()

    assert floor.user(acs_user_id)["observed"]["full_name"] == "Jane Doe"


@pytest.mark.parametrize("text", ["not json", "", '{"starts_at":'])
def test_a_schedule_that_is_no_json_holds_nothing_else_up(floor: Floor, sim: Running, text: str) -> None:
    """The customer's application may write the table: the mirror is kept, the good fields repaired, the rest told."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe")
    with floor.engine.begin() as connection:
        theirs = sql("UPDATE desired_users SET access_schedule = :text, updated_at = NULL WHERE acs_user_id = :id")
        connection.execute(theirs, {"text": text, "id": acs_user_id})

    floor.happened("acs_user.created", acs_user_id)

    assert updates(sim) == [{"acs_user_id": acs_user_id, "full_name": "Jane Doe"}]
    assert "access_schedule must hold" in floor.user(acs_user_id)["reason"]
    assert len(floor.failed()) == 1


def test_only_updates_that_were_sent_count_as_not_kept(floor: Floor, sim: Running) -> None:
    """A late look that finds the first drift repairs it: nothing was tried in vain before."""
    sim.world.settings.is_holding = True
    acs_user_id = sim.world.add_user(full_name="Jack Doe", phone_number="+15555550222")
    floor.want(acs_user_id, full_name="Jane Doe")
    floor.receive(event("acs_user.created", acs_user_id=acs_user_id))
    floor.work(include_later=False)
    for _ in range(3):  # the mutation is still under way at each of these looks
        floor.pull_forward()
        floor.work(include_later=False)
    floor.want(acs_user_id, phone_number="+15555550100")

    sim.world.settings.is_holding = False
    floor.work()

    assert updates(sim)[1:] == [{"acs_user_id": acs_user_id, "phone_number": "+15555550100"}]


def test_a_code_longer_than_its_column_is_one_issue(floor: Floor, sim: Running) -> None:
    """However often it is read."""
    acs_user_id = sim.world.add_user()
    sim.world.raise_warning(acs_user_id, "x" * 300)

    for _ in range(2):
        floor.happened("acs_user.created", acs_user_id)

    assert [issue["code"] for issue in floor.user(acs_user_id)["issues"]] == ["x" * 200]
    with database.reading(floor.engine) as connection:
        count = len(connection.execute(select(issues).where(issues.c.acs_user_id == acs_user_id)).all())
    assert count == 1


@pytest.mark.parametrize(("refused", "seen"), [(UPDATE, ("Jack Doe", True)), (SUSPEND, ("Jane Doe", False))])
def test_who_shall_not_enter_is_suspended_whatever_else_is_refused(
    floor: Floor, sim: Running, refused: str, seen: tuple[str, bool]
) -> None:
    """An update that Seam refuses leaves nobody in; nor does an access system without suspension lose the update."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jane Doe", is_suspended=True)
    sim.world.faults.add("status", status=400, path=refused)

    floor.happened("acs_user.created", acs_user_id)

    user = sim.world.user(acs_user_id) or {}
    assert (user["full_name"], user["is_suspended"]) == seen
    assert floor.user(acs_user_id)["sync"] == "drifted"


def test_a_clock_that_was_wrong_once_does_not_blind_us(floor: Floor, sim: Running) -> None:
    """A stamp of next year would be newer than all that is read until then."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    floor.want(acs_user_id, full_name="Jack Doe")
    floor.happened("acs_user.created", acs_user_id)
    with floor.engine.begin() as connection:
        next_year = {"read_at": clock.now() + timedelta(days=365)}
        connection.execute(update(acs_users).where(acs_users.c.acs_user_id == acs_user_id).values(next_year))
    sim.world.edit_at_provider(acs_user_id, full_name="Edited behind our back")

    floor.happened("acs_user.created", acs_user_id)

    assert (sim.world.user(acs_user_id) or {})["full_name"] == "Jack Doe"
    assert floor.user(acs_user_id)["sync"] == "in_sync"


def test_a_code_that_no_database_takes_is_kept_as_far_as_it_can_be(
    floor: Floor, sim: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lone surrogate or NUL: the user is looked after all the same, and the issue clears."""
    acs_user_id = sim.world.add_user(full_name="Jack Doe")
    read = floor.tools.seam.get_user
    with monkeypatch.context() as patched:
        errors = [{"error_code": "bad\ud800\x00code", "message": "\ud800"}]
        patched.setattr(
            floor.tools.seam, "get_user", lambda *who, **kind: {**(read(*who, **kind) or {}), "errors": errors}
        )
        floor.happened("acs_user.created", acs_user_id)
        found = floor.user(acs_user_id)
    floor.happened("acs_user.created", acs_user_id)

    assert (found["health"], [issue["code"] for issue in found["issues"]]) == ("error", ["bad?\ufffdcode"])
    assert floor.user(acs_user_id)["issues"] == []
