"""Notices: who is told what, how often, and what becomes of one that nobody takes."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from rq.registry import ScheduledJobRegistry

from seamkeeper import clock, database, notices, settings
from seamkeeper.errors import ConfigurationError
from simulator.serve import Running
from tests.listener import Listener, listening
from tests.workers.conftest import Floor
from workers import messenger
from workers import notices as told_people
from workers.notices import Words

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise's own import
CODE = "failed_to_create_on_acs_system"
NOON = datetime(2026, 11, 22, 12, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _within_an_hour() -> None:
    """The same is told again in the next hour: no test begins in the last seconds of one."""
    now = clock.now()
    if (now.minute, now.second) >= (59, 40):
        time.sleep(60 - now.second)


@pytest.fixture
def phone() -> Iterator[Listener]:
    """Where people are told."""
    with listening() as listener:
        yield listener


@pytest.fixture
def pager() -> Iterator[Listener]:
    """A second one."""
    with listening() as listener:
        yield listener


@pytest.fixture
def environ(environ: dict[str, str], phone: Listener) -> dict[str, str]:
    """Everybody is told at the phone."""
    console = "https://keeper.example.com/"
    return {**environ, "SEAMKEEPER_NOTIFY": f"json://{phone.address}/", "SEAMKEEPER_CONSOLE_URL": console}


@pytest.fixture
def told_to_both(environ: dict[str, str], phone: Listener, pager: Listener) -> dict[str, str]:
    """Everybody is told at the phone and at the pager."""
    environ["SEAMKEEPER_NOTIFY"] = f"json://{phone.address}/, json://{pager.address}/"
    return environ


def heard(listener: Listener) -> list[tuple[str, str]]:
    """Titles and texts."""
    return [(each["title"], each["message"]) for each in listener.heard]


def listed(floor: Floor) -> list[dict[str, Any]]:
    """`notices list`, oldest first."""
    with database.reading(floor.engine) as connection:
        return notices.list_notices(connection)[::-1]


def due_at(floor: Floor) -> list[datetime]:
    """When what is scheduled is due."""
    registry = ScheduledJobRegistry("events", connection=floor.redis)
    times = [score for _, score in floor.redis.zrange(registry.key, 0, -1, withscores=True)]
    return [datetime.fromtimestamp(score, UTC) for score in times]


def open_circuit(floor: Floor, **options: Any) -> None:
    told_people.circuit(floor.tools, "system-1", is_open=True, because="it is disconnected", **options)


def close_circuit(floor: Floor) -> None:
    told_people.circuit(floor.tools, "system-1", is_open=False)


def test_many_users_with_a_new_code_are_one_notice_with_their_number(
    floor: Floor, sim: Running, phone: Listener
) -> None:
    """Ids, codes and a link; no names. A user who is well again by then is not counted."""
    users = [sim.world.add_user(full_name=f"Jane Doe {number}", phone_number="+15555550100") for number in range(6)]
    for acs_user_id in users:
        sim.world.raise_error(acs_user_id, CODE)
        floor.tools.queues.ask_reconcile(acs_user_id, why="a test", source="webhook")
    work_without_notices(floor)
    sim.world.clear_issue(users[0])
    floor.tools.queues.ask_reconcile(users[0], why="a test", source="webhook")
    work_without_notices(floor)
    assert [each["state"] for each in listed(floor)] == ["waiting"]

    floor.work()

    system = sim.world.acs_system_id
    assert heard(phone) == [
        (
            f"Seamkeeper: {CODE} on 5 users",
            f"5 users of the access system {system} have the error {CODE}.\n"
            f"https://keeper.example.com/users?system={system}&health=error",
        )
    ]
    assert [each["state"] for each in listed(floor)] == ["sent"]
    assert "Jane" not in json.dumps(listed(floor))


def work_without_notices(floor: Floor) -> None:
    """Everything but what waits for its half minute."""
    registry = ScheduledJobRegistry("events", connection=floor.redis)
    for _ in range(10):
        waiting = [name for name in registry.get_job_ids() if name.startswith("notice-")]
        for name in waiting:
            registry.remove(name)
        floor.pull_forward()
        floor.work(include_later=False)
        for name in waiting:
            floor.redis.zadd(registry.key, {name: clock.now().timestamp() + 30})


@on_sqlite
def test_an_error_that_cleared_within_the_half_minute_is_not_told(floor: Floor, sim: Running, phone: Listener) -> None:
    """And a later one is."""
    acs_user_id = sim.world.add_user(full_name="Jane Doe")
    for is_broken in (True, False):
        (sim.world.raise_error if is_broken else sim.world.clear_issue)(acs_user_id, CODE)
        floor.tools.queues.ask_reconcile(acs_user_id, why="a test", source="webhook")
        work_without_notices(floor)
    floor.work()
    nothing = (heard(phone), listed(floor))

    sim.world.raise_error(acs_user_id, CODE)
    floor.happened("acs_user.created", acs_user_id)

    assert nothing == ([], [])
    assert heard(phone)[0][0] == f"Seamkeeper: {CODE} on a user"
    assert heard(phone)[0][1].endswith(f"https://keeper.example.com/users/{acs_user_id}")


def test_the_same_again_within_the_hour_waits_for_the_next(floor: Floor, phone: Listener) -> None:
    """Nobody is told twice in an hour, and no wave is lost; many in the meantime are one."""
    with time_machine.travel(NOON, tick=False):
        told_people.tell(floor.tools, "before", Words("before", "it"), delay=timedelta(seconds=2))
        raised(floor)
        floor.work()
        for _ in range(5):
            raised(floor)
        assert due_at(floor) == [datetime(2026, 11, 22, 13, 0, 30, tzinfo=UTC)]

    assert [each["name"][-13:] for each in listed(floor)[1:]] == ["2026-11-22T12", "2026-11-22T13"]
    assert [each["state"] for each in listed(floor)] == ["sent", "sent", "waiting"]


def raised(floor: Floor) -> None:
    """A finding about a whole access system, with its issue."""
    with floor.engine.begin() as connection:
        row = {"kind": "finding", "code": "too_many_missing", "acs_system_id": "system-1"}
        at = {"first_seen_at": clock.now(), "last_seen_at": clock.now()}
        connection.execute(database.issues.insert().values(**row, **at))
        told_people.issue_raised(floor.tools, **row, connection=connection)


@on_sqlite
def test_a_circuit_that_flaps_is_told_twice_an_hour_and_the_last_word_is_true(floor: Floor, phone: Listener) -> None:
    """Closing takes back an opening that was not told yet."""
    with time_machine.travel(NOON, tick=False):
        open_circuit(floor)
        close_circuit(floor)
        floor.work()
        assert heard(phone) == []

        open_circuit(floor)
        floor.work()
        close_circuit(floor)
        close_circuit(floor)
        floor.work()
        for _ in range(3):
            open_circuit(floor)
            close_circuit(floor)
        floor.work()
        titles = [title for title, _ in heard(phone)]
        open_circuit(floor)
        assert due_at(floor) == [datetime(2026, 11, 22, 13, 0, 30, tzinfo=UTC)]
        floor.work()

    name = "Seamkeeper: The circuit of the access system system-1 is"
    assert titles == [f"{name} open", f"{name} closed"]
    assert heard(phone)[-1] == (
        f"{name} open",
        "Reads and repairs of the access system system-1 wait until it is back. Why: it is disconnected.\n"
        "https://keeper.example.com/users?system=system-1",
    )


@on_sqlite
def test_a_closing_is_not_looked_for_before_it_is_committed(floor: Floor) -> None:
    """A worker that is quicker than our commit would find no notice, and nobody would ask again."""
    open_circuit(floor)
    floor.work()
    with time_machine.travel(NOON, tick=False):
        close_circuit(floor)

        assert floor.redis.llen("rq:queue:events") == 0
        assert due_at(floor) == [NOON + timedelta(seconds=2)]


@on_sqlite
def test_an_opening_that_nobody_took_is_not_told_after_its_closing(floor: Floor, phone: Listener) -> None:
    """The service was away all the while; what is told in the end is true."""
    phone.status = 503
    open_circuit(floor)
    open_circuit(floor)
    floor.work(rounds=1)
    close_circuit(floor)
    phone.heard.clear()
    phone.status = 200
    floor.work()

    assert [title.rpartition(" ")[2] for title, _ in heard(phone)] == ["closed"]


@on_sqlite
def test_a_hundred_dead_jobs_of_one_cause_are_one_notice(floor: Floor, phone: Listener) -> None:
    """The ids in a reason make no cause of its own; the reason stays in the console, it may hold a name."""
    for number in range(100):
        reason = f"GET /acs/users/get u{number}: 400 Jane Doe"
        told_people.dead(floor.tools, job="reconcile_user", acs_user_id=f"u{number}", reason=reason)
        floor.redis.zadd("rq:failed:reconcile", {f"job-{number}": 4_000_000_000})
    told_people.dead(floor.tools, job="send_notice", reason="nobody takes it")

    floor.work()

    assert heard(phone) == [
        (
            "Seamkeeper: reconcile_user is dead",
            "reconcile_user of the user u0 will not be tried again. The console says why. In all, 100 jobs are dead.\n"
            "https://keeper.example.com/dead",
        )
    ]


@on_sqlite
def test_an_address_that_fails_repeats_no_other(
    told_to_both: dict[str, str], floor: Floor, phone: Listener, pager: Listener
) -> None:
    """Tried again like any job, at that address only."""
    pager.status = 503
    told_people.tell(floor.tools, "silence:1", Words("silence", "No event for two hours."))
    floor.work(rounds=1)
    waiting = listed(floor)[0]
    pager.status = 200
    floor.work()

    assert (waiting["state"], waiting["reason"]) == ("sending", "not taken by address 2 (json) of SEAMKEEPER_NOTIFY")
    assert (len(phone.heard), len(pager.heard)) == (1, 2)
    assert (listed(floor)[0]["state"], listed(floor)[0]["reason"]) == ("sent", None)


@on_sqlite
def test_one_that_nobody_takes_is_dead_and_can_be_requeued(floor: Floor, phone: Listener) -> None:
    """After the same tries as every job, with its reason in RQ's failed registry and in the table."""
    phone.status = 500
    told_people.tell(floor.tools, "silence:1", Words("silence", "No event for two hours."))
    floor.work()
    dead, tries = listed(floor)[0], len(phone.heard)
    (job_id,) = floor.failed()
    phone.status = 200
    floor.redis.hset(f"rq:job:{job_id}", "status", "queued")
    floor.redis.zrem("rq:failed:events", job_id)
    floor.redis.rpush("rq:queue:events", job_id)
    floor.work()

    assert (dead["state"], tries) == ("dead", 1 + len(floor.tools.settings.retry_delays))
    assert listed(floor)[0]["state"] == "sent"


@on_sqlite
def test_a_service_that_hangs_holds_no_worker(floor: Floor, phone: Listener) -> None:
    """It is not waited for to the end; the address says how long, without it apprise waits four seconds."""
    phone.pause = threading.Event()
    told = settings.load({"SEAMKEEPER_NOTIFY": f"json://{phone.address}/?rto=0.2"})

    assert messenger._notify(told.notify[0], "a title", "a text") is False


@on_sqlite
def test_one_that_was_rolled_back_is_not_sent(floor: Floor, phone: Listener) -> None:
    """It is asked for before the commit."""
    with floor.engine.connect() as connection:
        told_people.tell(floor.tools, "silence:1", Words("silence", "No event."), connection=connection)
        connection.rollback()

    floor.work()

    assert (heard(phone), floor.failed(), listed(floor)) == ([], [], [])


@on_sqlite
def test_without_addresses_nothing_is_written(
    environ: dict[str, str], request: pytest.FixtureRequest, sim: Running
) -> None:
    """No row, no job."""
    del environ["SEAMKEEPER_NOTIFY"]
    floor: Floor = request.getfixturevalue("floor")
    acs_user_id = sim.world.add_user(full_name="Jane Doe")
    sim.world.raise_error(acs_user_id, CODE)
    floor.happened("acs_user.created", acs_user_id)
    open_circuit(floor)
    close_circuit(floor)
    told_people.dead(floor.tools, job="reconcile_user", reason="no")

    assert listed(floor) == []
    assert floor.redis.keys("rq:job:notice-*") == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense://secret", r"address 1 \(nonsense\)"),
        ("json://127.0.0.1/ discord://secret", r"address 2 \(discord\)"),
    ],
    ids=["no-such-service", "incomplete"],
)
def test_an_address_that_apprise_cannot_use_is_found_at_start(url: str, words: str) -> None:
    """Without repeating it: it holds a password."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        messenger.check(settings.load({"SEAMKEEPER_NOTIFY": url}))

    assert "secret" not in str(caught.value)


def test_without_apprise_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At start, and only when somebody shall be told."""
    monkeypatch.setitem(sys.modules, "apprise", None)

    messenger.check(settings.load({}))
    with pytest.raises(ConfigurationError, match=r"pip install 'seamkeeper\[notify\]'"):
        messenger.check(settings.load({"SEAMKEEPER_NOTIFY": "json://127.0.0.1/"}))


@pytest.mark.parametrize("length", [160, 172, 186, 200])
def test_ids_of_any_length_have_a_name(floor: Floor, phone: Listener, length: int) -> None:
    """The column holds 200 characters, PostgreSQL insists; two long ones are still two, and each is told once."""
    began = clock.now()
    for letter in "aabb":
        told_people.issue_raised(floor.tools, kind="error", code=CODE, acs_system_id=letter * length)
        told_people.circuit(floor.tools, letter * length, is_open=True)
    soon, asked = due_at(floor), clock.now()
    floor.work()
    for letter in "ab":
        told_people.circuit(floor.tools, letter * length, is_open=False)

    names = [each["name"] for each in listed(floor)]
    assert len({name for name in names if ":open:" in name}) == 2
    assert len({name for name in names if ":closed:" in name}) == 2
    assert max(map(len, names)) <= 200
    assert len(soon) == 4
    assert all(began < due < asked + timedelta(seconds=31) for due in soon)
