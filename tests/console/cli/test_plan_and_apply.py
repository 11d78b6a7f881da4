"""`seamkeeper plan` and `apply` on real processes: what is shown is what is written, or nothing is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper.orders import SHOWN
from simulator.serve import Running, running
from tests.console.web.conftest import keep_user
from tests.stack import Stack, stack

from .conftest import NOBODY, Seamkeeper

UPDATE = "/acs/users/update"
DRIFT = {"full_name": {"observed": "Jack Doe", "desired": "Jane Doe"}}


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own."""
    with running(users=1, seed=7) as simulator:
        yield simulator


@pytest.fixture
def deployment(environment: dict[str, str], sim: Running, tmp_path: Path) -> Iterator[Stack]:
    """Workers that only show, and a command line beside them."""
    told = {"SEAMKEEPER_REPAIR": "plan", "SEAMKEEPER_REREAD_DELAYS": "1,1,1", "SEAMKEEPER_RETRY_DELAYS": "1,1"}
    with stack(environment, tmp_path, seam=sim, **told) as found:
        found.start_workers()
        yield found


def drifted(deployment: Stack, sim: Running, **seen: str) -> str:
    """Somebody of whom another name and telephone number are desired."""
    acs_user_id = sim.world.add_user(**{"full_name": "Jack Doe", "phone_number": "+15555550222", **seen})
    deployment.seamkeeper("desired", "set", acs_user_id, "full_name=Jane Doe", "phone_number=+15555550100")
    return acs_user_id


def test_a_plan_is_shown_and_then_done(deployment: Stack, sim: Running, tmp_path: Path) -> None:
    """Exit 2 and the fields; nothing is written before `apply`; then Seam holds what was desired."""
    jack = drifted(deployment, sim)
    file = tmp_path / "plan.json"

    shown = deployment.seamkeeper("plan", "--all", "--out", str(file), "--detailed-exitcode", exit_code=2)
    assert f"~ Jack Doe  {jack}" in shown
    assert 'full_name        "Jack Doe" -> "Jane Doe"' in shown
    assert 'phone_number     "+15555550222" -> "+15555550100"' in shown
    assert "Plan: 1 user to change (2 fields). About 1 API call. Saved to" in shown
    assert sim.world.requests.list(UPDATE) == []
    assert json.loads(file.read_text())["users"][0]["fields"]["full_name"] == DRIFT["full_name"]

    done = json.loads(deployment.seamkeeper("apply", str(file), "--yes", "--json"))
    assert [(each["acs_user_id"], each["outcome"]) for each in done["users"]] in (
        [(jack, "accepted")], [(jack, "in_sync")],
    )  # fmt: skip
    assert sim.world.user(jack)["full_name"] == "Jane Doe"
    assert len(sim.world.requests.list(UPDATE)) == 1
    deployment.seamkeeper("plan", jack, "--detailed-exitcode", exit_code=0)
    again = json.loads(deployment.seamkeeper("apply", str(file), "--yes", "--json"))
    assert again["users"][0]["reason"] == "was already as desired; nothing was written"
    assert deployment.shown("users", jack)["sync"] == "in_sync"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_moved_since_the_plan_is_refused(deployment: Stack, sim: Running, tmp_path: Path) -> None:
    """The others are done: exit 3. Nothing at all done is 1."""
    jack, mina = drifted(deployment, sim), drifted(deployment, sim, full_name="Mina Patel")
    file = tmp_path / "plan.json"
    deployment.seamkeeper("plan", jack, mina, "--out", str(file))
    sim.world.edit_at_provider(jack, phone_number="+15555550333")

    done = json.loads(deployment.seamkeeper("apply", str(file), "--yes", "--json", exit_code=3))

    said = {each["acs_user_id"]: each for each in done["users"]}
    assert said[jack]["outcome"] == "refused"
    assert 'phone_number "+15555550333" -> "+15555550100"' in said[jack]["reason"]
    assert said[mina]["outcome"] in ("accepted", "in_sync")
    assert [seen.params["acs_user_id"] for seen in sim.world.requests.list(UPDATE)] == [mina]
    deployment.seamkeeper("desired", "set", jack, "full_name=Jim Doe")
    deployment.seamkeeper("apply", str(file), "--yes", "--json", exit_code=3)
    assert sim.world.user(jack)["full_name"] == "Jack Doe"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_users_by_name(deployment: Stack, sim: Running) -> None:
    """Planned now and done; who is paused, unknown to Seam or refused by it is told, and nothing is written there."""
    jack, mina, ann = (drifted(deployment, sim) for _ in range(3))
    deployment.seamkeeper("pause", mina, "--for", "1h", "--reason", "door works")
    nobody = str(uuid.uuid4())

    shown = json.loads(deployment.seamkeeper("plan", jack, mina, nobody, "--json", exit_code=3))
    alone = deployment.seamkeeper("apply", mina, "--yes", exit_code=1)
    sim.world.faults.add("status", status=400, path=UPDATE, times=1)
    refused = json.loads(deployment.seamkeeper("apply", jack, "--yes", "--json", exit_code=1))
    deployment.seamkeeper("apply", ann, "--yes")

    states = {each["acs_user_id"]: (each["state"], each["reason"]) for each in shown["users"]}
    assert states[jack] == ("change", None)
    assert states[mina][0] == "blocked"
    assert "door works" in str(states[mina][1])
    assert states[nobody] == ("unread", "Seam has no such user (any more); `seamkeeper sync` marks who is gone")
    assert "door works" in alone
    assert refused["users"][0]["outcome"] == "failed"
    assert "400" in refused["users"][0]["reason"]
    assert sim.world.user(ann)["full_name"] == "Jane Doe"
    assert sim.world.user(mina)["full_name"] == "Jack Doe"


def waiting(redis: Redis) -> list[str]:
    """Everything that waits for a worker."""
    queued = [job.decode() for job in redis.lrange("rq:queue:reconcile", 0, -1)]
    return [job for job in queued if redis.exists(f"rq:job:{job}")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_worker_answers(seamkeeper: Seamkeeper, engine: Engine, redis: Redis, tmp_path: Path) -> None:
    """A clear word, and nothing is left in the queue that would be done tomorrow but a look that policy governs."""
    keep_user(engine, "u1", sync="drifted", drift=DRIFT, wanted={"full_name": "Jane Doe"}, reason=SHOWN)
    file = tmp_path / "plan.json"

    plan = seamkeeper("plan", "u1", "--timeout", "0.3")
    detailed = seamkeeper("plan", "u1", "--timeout", "0.3", "--detailed-exitcode")
    assert waiting(redis) == []
    known = seamkeeper("plan", "--all", "--last-known", "--out", str(file), "--json")
    apply = seamkeeper("apply", str(file), "--yes", "--timeout", "0.3", "--json")

    assert (plan.code, detailed.code, known.code, apply.code) == (1, 1, 0, 1)
    assert "No answer about 1 user within 0.3 s. Does a worker run?" in plan.err
    assert known.json["users"][0]["fields"] == DRIFT
    assert apply.json["users"][0]["outcome"] == "silent"
    assert [b"mode" in redis.hkeys(f"rq:job:{job}") for job in waiting(redis)] == [False]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_apply_asks_first(seamkeeper: Seamkeeper, engine: Engine, tmp_path: Path) -> None:
    """Where nobody can be asked it needs --yes; nothing to do needs nothing."""
    keep_user(engine, "u1", sync="drifted", drift=DRIFT, wanted={"full_name": "Jane Doe"}, reason=SHOWN)
    keep_user(engine, "u2", wanted={"full_name": "Jack Doe"})
    for name in ("u1", "u2"):
        seamkeeper("plan", name, "--last-known", "--out", str(tmp_path / f"{name}.json"))

    refused = seamkeeper("apply", str(tmp_path / "u1.json"))
    nothing = seamkeeper("apply", str(tmp_path / "u2.json"))

    assert refused.code == 2
    assert "needs --yes" in refused.err
    assert (nothing.code, nothing.err) == (0, "Apply: nothing to do.\n")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        pytest.param(["plan"], 2, "Give users, --system or --all.", id="nobody"),
        pytest.param(["plan", "u1", "--all"], 2, "Give users, --system or --all.", id="two-ways"),
        pytest.param(["plan", "u1", "--timeout", "0"], 2, "0", id="no-time"),
        pytest.param(["plan", "u9", "--last-known"], 1, "not known", id="unknown"),
        pytest.param(
            ["plan", "u1", "--last-known", "--out", "/nowhere/plan.json"], 2, "could not be written", id="out"
        ),
        pytest.param(["apply"], 2, "Missing argument", id="nothing"),
        pytest.param(["apply", "nowhere.json"], 2, "could not be read", id="no-file"),
        pytest.param(["apply", "a.json", "u1"], 2, "give one plan", id="file-and-user"),
        pytest.param(["apply", "u 1"], 2, "give one plan", id="no-id"),
    ],
)
def test_what_cannot_be_done(
    seamkeeper: Seamkeeper, engine: Engine, arguments: list[str], code: int, reason: str
) -> None:
    """With the reason."""
    keep_user(engine, "u1")

    said = seamkeeper(*arguments)

    assert said.code == code
    assert reason in said.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_redis(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Exit 5; what is known already can be planned all the same."""
    keep_user(engine, "u1")

    assert seamkeeper("plan", "u1", REDIS_URL=NOBODY).code == 5
    assert seamkeeper("plan", "u1", "--last-known", REDIS_URL=NOBODY).code == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_words_of_strangers(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Names and values do not drive the terminal; a schedule is told end by end."""
    hostile = "\x1b[2J\u202eJack\r\n"
    schedule: dict[str, Any] = {"observed": None, "desired": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099Z"}}
    drift = {"full_name": {"observed": hostile, "desired": "Jane"}, "access_schedule": schedule,
             "is_suspended": {"observed": False, "desired": True}}  # fmt: skip
    keep_user(engine, "u1", name=hostile, sync="drifted", drift=drift, reason=SHOWN, wanted={"full_name": "Jane"})
    keep_user(engine, "u2", name=hostile, sync="drifted", drift=drift, reason=hostile, wanted={"full_name": "Jane"})

    said = seamkeeper("plan", "--all", "--last-known")

    assert all(character == "\n" or character.isprintable() for character in said.out)
    assert 'access_schedule.starts_at not set -> "2026-01-01T00:00:00Z"' in said.out
    assert "is_suspended     false -> true" in said.out
    assert "Plan: 1 user to change (3 fields), 1 blocked. About 2 API calls." in said.out
