"""`seamkeeper users` and `seamkeeper events`: the shapes programs rely on, and tables for people."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from redis import Redis
from sqlalchemy import Engine

from tests.console.web.conftest import accept, keep_event, keep_user

from .conftest import NOBODY, Seamkeeper

HOSTILE = "\x1b[2J\x9b31m\u202eJack\r\n\ud800\x00"
ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


def test_users_show(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Everything we hold of a user."""
    drift = {"full_name": {"observed": "Jack", "desired": "Jane"}}
    error = {"error_code": "failed_to_update_on_acs_system", "message": "no", "created_at": "2026-01-01T00:00:00Z"}
    keep_user(engine, "u1", name="Jack", sync="drifted", health="error", drift=drift, wanted={"full_name": "Jane"},
              errors=[error])  # fmt: skip

    shown = seamkeeper("users", "show", "u1", "--json").json

    assert set(shown) >= {
        "acs_user_id", "acs_system_id", "sync", "health", "observed", "desired", "drift", "issues", "read_at",
    }  # fmt: skip
    assert shown["observed"]["errors"] == [error]
    assert (shown["sync"], shown["health"]) == ("drifted", "error")
    assert (shown["desired"], shown["drift"]) == ({"full_name": "Jane"}, drift)
    assert [issue["code"] for issue in shown["issues"]] == ["failed_to_update_on_acs_system"]
    assert shown["read_at"].endswith("Z")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_users_show_tells_policy_and_issues(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """What counts for the user, with who said so; every open issue on a line."""
    error = {"error_code": "failed_to_update_on_acs_system", "message": "no", "created_at": "2026-01-01T00:00:00Z"}
    keep_user(engine, "u1", health="error", errors=[error])
    seamkeeper("policy", "set", "--system", "s1", "--repair", "plan")

    shown, told = seamkeeper("users", "show", "u1", "--json").json, seamkeeper("users", "show", "u1").out

    assert (shown["policy"]["repair"], shown["policy"]["repair_by"]) == ("plan", "system")
    assert "plan, said for the access system" in told
    [line] = [line for line in told.splitlines() if "failed_to_update" in line and "observed" not in line]
    assert " open " in line


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_users_show_of_one_who_was_only_desired(seamkeeper: Seamkeeper) -> None:
    """The same keys; nothing is observed yet."""
    seamkeeper("desired", "set", "u1", "full_name=Jack")

    shown = seamkeeper("users", "show", "u1", "--json").json

    assert (shown["observed"], shown["read_at"], shown["sync"]) == (None, None, "unknown")
    assert shown["desired"] == {"full_name": "Jack"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_users_show_for_people(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Fields, then history; objects as JSON, not as Python writes them."""
    keep_user(engine, "u1", name="Jack")

    told = seamkeeper("users", "show", "u1").out

    assert "acs_user_id    u1\n" in told
    assert '"full_name": "Jack"' in told
    assert '{"full_name": "Jack"}' in told.splitlines()[-2] + told.splitlines()[-1]


def test_events_show(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """The row, every attempt, and the body as it came."""
    keep_event(engine, "e1", status="dead", reason="it was refused")

    shown = seamkeeper("events", "show", "e1", "--json").json

    assert set(shown) >= {
        "event_id", "event_type", "status", "source", "occurred_at", "received_at", "settled_at", "reason", "attempts",
        "body",
    }  # fmt: skip
    assert (shown["status"], shown["reason"], shown["source"]) == ("dead", "it was refused", "webhook")
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["dead"]
    assert '"event_id": "e1"' in shown["body"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_event_that_waits(seamkeeper: Seamkeeper, redis: Redis) -> None:
    """Accepted is enough to be found, with the same keys, as `queued`."""
    accept(redis, "e1")

    shown = seamkeeper("events", "show", "e1", "--json").json
    told = seamkeeper("events", "show", "e1")

    assert (shown["status"], shown["attempts"], shown["reason"]) == ("queued", [], None)
    assert set(shown) >= {"event_type", "occurred_at", "received_at", "settled_at", "body"}
    assert "queued" in told.out
    assert "No attempt yet." in told.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_events_show_for_people(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Fields, then attempts."""
    keep_event(engine, "e1", status="retrying", reason="Seam did not answer")

    told = seamkeeper("events", "show", "e1").out

    assert "status" in told
    assert "Seam did not answer" in told.splitlines()[-1] + told.splitlines()[-2]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["users", "events"])
def test_what_is_not_there(seamkeeper: Seamkeeper, what: str) -> None:
    """Exit 4, nothing on stdout, and a word about it."""
    said = seamkeeper(what, "show", "nobody", "--json")

    assert (said.code, said.out) == (4, "")
    assert "nobody" in said.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_lists_of_users(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Filtered, a page at a time; the way to the next page is told."""
    for name, sync in (("u1", "in_sync"), ("u2", "drifted"), ("u3", "drifted")):
        keep_user(engine, name, sync=sync, name=f"Jack {name}")

    drifted = seamkeeper("users", "list", "--sync", "drifted", "--json").json
    page = seamkeeper("users", "list", "--limit", "2")
    rest = seamkeeper("users", "list", "--limit", "2", "--after", "u2", "--json").json
    found = seamkeeper("users", "list", "--search", "JACK U3", "--json").json
    nobody = seamkeeper("users", "list", "--system", "elsewhere", "--json")

    assert [user["acs_user_id"] for user in drifted] == ["u2", "u3"]
    assert "More: --after u2" in page.err
    assert [user["acs_user_id"] for user in rest] == ["u3"]
    assert [user["acs_user_id"] for user in found] == ["u3"]
    assert (nobody.code, nobody.json) == (0, [])
    assert set(drifted[0]) >= {"acs_user_id", "acs_system_id", "sync", "health", "drift", "read_at"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_lists_of_events(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Newest first, filtered; without bodies."""
    keep_event(engine, "e1", status="done", acs_user_id="u1")
    keep_event(engine, "e2", status="dead", acs_user_id="u2", event_type="acs_user.deleted")

    dead = seamkeeper("events", "list", "--status", "dead", "--json").json
    of_user = seamkeeper("events", "list", "--user", "u1", "--type", "acs_user.created", "--json").json
    table = seamkeeper("events", "list").out

    assert [event["event_id"] for event in dead] == ["e2"]
    assert [event["event_id"] for event in of_user] == ["e1"]
    assert "body" not in dead[0]
    assert all(word in table for word in ("e1", "e2", "acs_user.deleted", "dead"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["users", "events"])
def test_lists_of_nothing(seamkeeper: Seamkeeper, what: str) -> None:
    """Exit 0: an empty list for programs, a hint for people."""
    told = seamkeeper(what, "list")

    assert seamkeeper(what, "list", "--json").json == []
    assert (told.code, told.out) == (0, "")
    assert f"No {what[:-1]} fits" in told.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_table_is_read_by_programs_too(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Outside a terminal nothing is folded: one user, one line, ids whole."""
    keep_user(engine, ID, name="Jack with a very long name " * 5, drift={"full_name": {}, "access_schedule": {}})

    told = seamkeeper("users", "list", COLUMNS="40").out

    [line] = [line for line in told.splitlines() if ID in line]
    assert ("Jack with a very long name " * 5).strip() in line
    assert "full_name, access_schedule" in line


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["users", "events"])
def test_a_narrow_terminal(environment: dict[str, str], engine: Engine, what: str) -> None:
    """Fits, and the id can still be copied; nothing is cut, for what does not fit is folded."""
    keep_user(engine, ID, name="Wolfeschlegelsteinhausen", drift={"full_name": {}, "access_schedule": {}})
    keep_event(engine, ID, reason="Wolfeschlegelsteinhausen")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    subprocess.run(
        [sys.executable, "-m", "console", what, "list"], env={**environment, "TERM": "dumb"}, stdout=theirs, check=True
    )
    os.close(theirs)
    lines = os.read(ours, 100_000).decode().splitlines()
    os.close(ours)

    assert any(ID in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_hostile_names(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """No control character, escape or bidi mark of a provider reaches the terminal, and JSON stays JSON."""
    keep_user(engine, "u1", name=HOSTILE, drift={"full_name": {"observed": HOSTILE, "desired": "Jack"}})
    keep_event(engine, "e1", note=HOSTILE, reason=HOSTILE)

    told = [seamkeeper("users", "list"), seamkeeper("users", "show", "u1"), seamkeeper("events", "list"),
            seamkeeper("events", "show", "e1")]  # fmt: skip
    shown = seamkeeper("users", "show", "u1", "--json")

    for said in told:
        assert said.code == 0
        assert all(character == "\n" or character.isprintable() for character in said.out)
    assert shown.json["observed"]["full_name"] == HOSTILE
    assert all(character == "\n" or character.isprintable() for character in shown.out)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_reading_needs_no_redis(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """What is in the database is shown; only an event that may still wait needs it."""
    keep_user(engine, "u1")
    keep_event(engine, "e1")

    for arguments in (("users", "list"), ("users", "show", "u1"), ("events", "list"), ("events", "show", "e1")):
        assert seamkeeper(*arguments, REDIS_URL=NOBODY).code == 0
    said = seamkeeper("events", "show", "e2", REDIS_URL=NOBODY)

    assert said.code == 5
    assert "Redis does not answer" in said.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [["users", "list", "--limit", "0"], ["users", "list", "--sync", "fine"], ["events", "list", "--limit", "x"]],
)
def test_options_that_cannot_be_meant(seamkeeper: Seamkeeper, arguments: list[str]) -> None:
    """Exit 2."""
    assert seamkeeper(*arguments).code == 2
