"""`seamkeeper replay`: the plan, the question, the steps of the workers, the way to stop and to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper import replays
from tests.console.web.conftest import accept, keep_event, queues_of

from .conftest import Seamkeeper

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def somebody_steps(engine: Engine, redis: Redis) -> Iterator[None]:
    """As the workers would: each replay that runs is done after a moment."""
    stop = threading.Event()

    def steps() -> None:
        while not stop.wait(0.1):
            with engine.begin() as connection:
                for row in replays.list_replays(connection):
                    if row["state"] == "running":
                        replays.advance(
                            connection, row["replay_id"], None, done=row["eligible"], skipped=0, is_over=True
                        )

    thread = threading.Thread(target=steps)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_the_plan_comes_first(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """How many match, how many can be replayed, why not, what it costs; --dry-run ends there."""
    for number in range(3):
        keep_event(engine, f"e{number}", status="dead", acs_user_id=f"u{number % 2}")
    accept(redis, "e0")

    told = seamkeeper("replay", "--status", "dead", "--dry-run")
    shown = seamkeeper("replay", "--status", "dead", "--dry-run", "--json").json
    nothing = seamkeeper("replay", "--type", "a.b", "--dry-run")

    assert "3 match, 2 can be replayed." in told.out
    assert "1 not: waiting or running already" in told.out
    assert "About 2 API calls" in told.out
    assert shown == {
        "matched": 3, "eligible": 2, "not_eligible": {"waiting or running already": 1}, "api_calls": 2,
        "api_calls_at_most": 2,
    }  # fmt: skip
    assert nothing.code == 4
    assert seamkeeper("replay", "--list", "--json").json == []


def test_it_waits_until_the_workers_are_through(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """The row is the audit: who, when, what was chosen, how much came of it."""
    keep_event(engine, "e1", status="dead")

    with somebody_steps(engine, redis):
        said = seamkeeper("replay", "e1", "--yes", "--by", "Mina")

    [row] = seamkeeper("replay", "--list", "--json").json
    assert said.code == 0
    assert "Replay 1: 1 are in their queues again or done." in said.err
    assert (row["state"], row["asked_by"], row["done"], row["rate"]) == ("done", "Mina", 1, 600)
    assert row["chosen"]["ids"] == ["e1"]
    assert "Mina" in seamkeeper("replay", "--list").out


def test_without_workers_it_is_stopped_and_can_go_on(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """The command that resumes is told; resuming asks for the next step."""
    keep_event(engine, "e1", status="dead")

    silent = seamkeeper("replay", "--status", "dead", "--yes", "--timeout", "0.5", "--rate", "600000")
    stopped = seamkeeper("replay", "--list", "--json").json[0]["state"]
    with somebody_steps(engine, redis):
        resumed = seamkeeper("replay", "--resume", "1")
    over, unknown = seamkeeper("replay", "--resume", "1"), seamkeeper("replay", "--resume", "7")

    assert (silent.code, stopped) == (1, "stopped")
    assert "Does a worker run?" in silent.err
    assert "seamkeeper replay --resume 1" in silent.err
    assert (resumed.code, over.code, unknown.code) == (0, 4, 4)


def test_ctrl_c_stops_it(seamkeeper: Seamkeeper, engine: Engine, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """130, and how to go on."""
    keep_event(engine, "e1", status="dead")

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", interrupted)
        said = seamkeeper("replay", "e1", "--yes")

    assert said.code == 130
    assert "seamkeeper replay --resume 1" in said.err
    assert seamkeeper("replay", "--list", "--json").json[0]["state"] == "stopped"


def test_left_to_the_workers(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """One step is asked for, however often; another terminal stops it."""
    keep_event(engine, "e1", status="dead")

    started = seamkeeper("replay", "e1", "--yes", "--no-wait")
    queues_of(redis).ask_replay(1)
    stopped, again = seamkeeper("replay", "--stop", "1"), seamkeeper("replay", "--stop", "1")

    assert (started.code, stopped.code, again.code) == (0, 0, 4)
    assert redis.llen("rq:queue:resync") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param([], "Give ids, or what they have in common", id="nothing"),
        pytest.param(["e1", "--status", "dead"], "Give ids, or what they have in common", id="both"),
        pytest.param(["--since", "yesterday"], "is no time", id="no-time"),
        pytest.param(["--status", "dead", "--rate", "0"], "--rate", id="no-rate"),
        pytest.param(["e1"], "needs --yes", id="nobody-to-ask"),
    ],
)
def test_what_cannot_be_meant(
    seamkeeper: Seamkeeper, engine: Engine, arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, and nothing is replayed."""
    keep_event(engine, "e1", status="dead")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    said = seamkeeper("replay", *arguments)

    assert said.code == 2
    assert reason in said.err
    assert seamkeeper("replay", "--list", "--json").json == []
