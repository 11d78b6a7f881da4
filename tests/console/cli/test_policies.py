"""`seamkeeper policy`, `pause` and `resume`: said once, counted at once, and shown with who said it."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper import clock, database, policies
from tests.console.web.conftest import keep_user

from .conftest import NOBODY, Seamkeeper


def effective(seamkeeper: Seamkeeper, acs_user_id: str = "u1", **environ: str) -> dict[str, Any]:
    """`policy show`."""
    shown: dict[str, Any] = seamkeeper("policy", "show", acs_user_id, "--json", **environ).json
    return shown


def asked(redis: Redis) -> list[str]:
    """Whose reconciles and resyncs wait."""
    found = []
    for queue in ("reconcile", "resync"):
        for job_id in redis.lrange(f"rq:queue:{queue}", 0, -1):
            packed = redis.hget(f"rq:job:{job_id.decode()}", "data")
            arguments = json.loads(zlib.decompress(packed))[3]
            found.append(arguments.get("acs_user_id") or f"resync {arguments['name']}")
    return sorted(found)


def test_the_nearest_word_counts(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """User before access system before all before the settings; each shown with who said it."""
    keep_user(engine, "u1")
    seen = [effective(seamkeeper, SEAMKEEPER_REPAIR="plan")]

    for subject in (["--all", "--repair", "off"], ["--system", "s1", "--repair", "plan", "--recreate", "ask"],
                    ["--user", "u1", "--repair", "apply"]):  # fmt: skip
        assert seamkeeper("policy", "set", *subject).code == 0
        seen.append(effective(seamkeeper))

    assert [(each["repair"], each["repair_by"]) for each in seen] == [
        ("plan", "settings"), ("off", "all"), ("plan", "system"), ("apply", "user"),
    ]  # fmt: skip
    assert [(each["recreate"], each["recreate_by"]) for each in seen][-2:] == [("ask", "system")] * 2
    assert seamkeeper("policy", "list", "--json").json[0]["scope"] == "all"


def test_a_pause_and_its_end(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Until its time and with its reason; afterwards the user is looked at again."""
    keep_user(engine, "u1")

    paused = seamkeeper("pause", "u1", "--for", "24h", "--reason", "door works", "--by", "Mina")
    during = effective(seamkeeper)
    resumed = seamkeeper("resume", "u1")
    again = seamkeeper("resume", "u1")

    assert (paused.code, paused.out) == (0, "")
    assert (during["repair"], during["repair_by"], during["reason"]) == ("paused", "user", "door works")
    left = clock.parse(during["paused_until"]) - clock.now()
    assert timedelta(hours=23, minutes=58) < left <= timedelta(hours=24)
    assert (resumed.code, again.code) == (0, 4)
    assert effective(seamkeeper)["repair"] == "apply"
    assert asked(redis) == ["u1"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_waited_for_the_end_of_a_pause_is_looked_at(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Those who are `paused`, and the access system is looked through for the others."""
    keep_user(engine, "u1", sync="paused")
    keep_user(engine, "u2", sync="in_sync")
    keep_user(engine, "u3", sync="paused", acs_system_id="s2")
    seamkeeper("pause", "--system", "s1", "--for", "1h")

    resumed = seamkeeper("resume", "--system", "s1")

    assert resumed.code == 0
    assert asked(redis) == ["resync s1", "u1"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_end_of_a_pause_of_all(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Everybody who waited, and all access systems."""
    keep_user(engine, "u1", sync="paused")
    keep_user(engine, "u3", sync="paused", acs_system_id="s2")
    seamkeeper("pause", "--all", "--until", "2099-01-01T00:00Z")
    assert effective(seamkeeper)["paused_until"] == "2099-01-01T00:00:00.000000Z"

    seamkeeper("resume", "--all")

    assert asked(redis) == ["resync all", "u1", "u3"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_wider_pause_holds_on(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Who ends the near one hears of it."""
    keep_user(engine, "u1")
    seamkeeper("pause", "u1", "--for", "1h")
    seamkeeper("pause", "--system", "s1", "--for", "2h", "--reason", "door works")

    said = seamkeeper("resume", "u1")

    assert said.code == 0
    assert "Still paused until" in said.err
    assert "said for the access system: door works: u1." in said.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_queue_is_paused_until_it_is_resumed(seamkeeper: Seamkeeper, redis: Redis) -> None:
    """Said with how many jobs wait; twice is once; one that was not paused is 4, of two 3."""
    paused = seamkeeper("pause", "events", "resync")
    again = seamkeeper("pause", "events")
    held = redis.smembers("rq:seamkeeper:paused")
    resumed = seamkeeper("resume", "events")
    partly = seamkeeper("resume", "events", "resync")
    nothing = seamkeeper("resume", "events")

    assert held == {b"events", b"resync"}
    assert "Paused: the queue events, in which 0 jobs wait." in paused.err
    assert "Was paused already" in again.err
    assert "Still paused: resync." in resumed.err
    assert [each.code for each in (paused, again, resumed, partly, nothing)] == [0, 0, 0, 3, 4]
    assert redis.smembers("rq:seamkeeper:paused") == set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_clear(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """The wider word counts again; nothing to clear is 4; a pause is not ended by accident."""
    seamkeeper("policy", "set", "--user", "u1", "--user", "u2", "--repair", "off")
    seamkeeper("pause", "u2", "--for", "1h")

    cleared = seamkeeper("policy", "clear", "--user", "u1")
    nothing = seamkeeper("policy", "clear", "--user", "u1")
    refused = seamkeeper("policy", "clear", "--user", "u2")

    assert (cleared.code, nothing.code, refused.code) == (0, 4, 2)
    assert "`seamkeeper resume` first" in refused.err
    assert effective(seamkeeper)["repair_by"] == "settings"
    assert effective(seamkeeper, "u2")["repair"] == "paused"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_for_people(seamkeeper: Seamkeeper) -> None:
    """In words; a table; text of people is only text."""
    empty = seamkeeper("policy", "list")
    seamkeeper("policy", "set", "--user", "u1", "--recreate", "auto", "--by", "M\x1bina")
    seamkeeper("pause", "u1", "--for", "7d", "--reason", "door\x1b[2J works")

    shown, table = seamkeeper("policy", "show", "u1").out, seamkeeper("policy", "list").out

    assert (empty.code, empty.out, empty.err) == (0, "", "The settings count for all.\n")
    assert "repair    paused until 2" in shown
    assert "recreate  auto, said for the user" in shown
    assert "u1" in table
    assert "\x1b" not in shown + table


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_redis(seamkeeper: Seamkeeper) -> None:
    """It counts all the same."""
    said = [
        seamkeeper("policy", "set", "--user", "u1", "--repair", "off", REDIS_URL=NOBODY),
        seamkeeper("pause", "u1", "--for", "1h", REDIS_URL=NOBODY),
        seamkeeper("resume", "u1", REDIS_URL=NOBODY),
    ]

    assert [each.code for each in said] == [0, 0, 0]
    assert all("It counts. Redis does not answer" in each.err for each in said)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["pause", "--for", "1h"], "Give users, --system or --all.", id="nobody"),
        pytest.param(["pause", "u1", "--all", "--for", "1h"], "Give users, --system or --all.", id="user-and-all"),
        pytest.param(["pause", "u1"], "Give --for or --until.", id="for-ever"),
        pytest.param(["pause", "u1", "--for", "0h"], "is no duration", id="no-time"),
        pytest.param(["pause", "events", "--for", "1h"], "give its name alone", id="pause-a-queue-for"),
        pytest.param(["pause", "events", "u1"], "events is a queue", id="pause-a-queue-and-a-user"),
        pytest.param(["resume", "resync", "--all"], "Give queues, or users", id="resume-a-queue-and-all"),
        pytest.param(["policy", "set", "--user", "u1"], "Give --repair, --recreate or both.", id="nothing-said"),
        pytest.param(["policy", "set", "--repair", "off"], "Give users, --system or --all.", id="of-nobody"),
        pytest.param(["policy", "set", "--all", "--repair", "on"], "'on' is not one of", id="unknown-word"),
    ],
)
def test_what_cannot_be_meant(seamkeeper: Seamkeeper, engine: Engine, arguments: list[str], reason: str) -> None:
    """Exit 2, with the reason; nothing is kept."""
    said = seamkeeper(*arguments)

    assert said.code == 2
    assert reason in " ".join(said.err.split())
    with database.reading(engine) as connection:
        assert policies.list_policies(connection) == []
