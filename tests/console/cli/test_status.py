"""`seamkeeper status`, `doctor` and `config`: what they say, as words and as JSON, and their exit codes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine

from console.doctor import CHECKS
from seamkeeper import checkpoints, clock, issues, registration
from seamkeeper.registration import Registration
from seamkeeper.settings import SETTINGS
from tests.console.web.conftest import accept, keep_event, keep_user

from .conftest import NOBODY, Seamkeeper

KEY = "seam_0123456789abcdef0123456789a1b2"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_status_says_what_is_wrong(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Exit 1 without a worker; the same in words and as JSON."""
    keep_event(engine, "e1", status="dead", at=clock.now())
    keep_user(engine, "u1", name="Jack\x1b[2J Doe", health="error", sync="drifted")
    accept(redis, "e2")

    said, told = seamkeeper("status"), seamkeeper("status", "--json")

    assert (said.code, told.code) == (1, 1)
    assert said.out.startswith("!! No worker is running.")
    for words in ("1 dead letter", "1 (1 dead)", "1 drifted", "events"):
        assert words in said.out
    assert "\x1b" not in said.out
    assert told.json["queues"]["events"]["queued"] == 1
    assert told.json["wrong"][0]["what"] == "No worker is running."
    assert told.json["users"]["sync"] == {"drifted": 1}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_status_when_nothing_is_wrong(seamkeeper: Seamkeeper, redis: Redis) -> None:
    """Exit 0."""
    _be_well(redis)

    said = seamkeeper("status")

    assert (said.code, said.out.splitlines()[0]) == (0, "Nothing is wrong.")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_status_without_redis(seamkeeper: Seamkeeper) -> None:
    """Exit 5, in words."""
    said = seamkeeper("status", REDIS_URL=NOBODY)

    assert (said.code, said.out) == (5, "")
    assert "Redis does not answer" in said.err


def test_the_doctor_looks_at_everything(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """In a house where all is well nothing fails; each check has a name, an outcome and words."""
    _be_well(redis)
    redis.hset("rq:seamkeeper:counters", "seam_api_requests:/acs/users/get:200", 1)
    accept(redis, "e1")
    with engine.begin() as connection:
        known = Registration(url="https://x.example/webhooks/seam", state="ok", checked_at=clock.iso(clock.now()))
        registration.write(connection, known)
        checkpoints.write(connection, "skew", {"seconds": 2})

    told = seamkeeper("doctor", "--json", SEAM_WEBHOOK_SECRET=SECRET, SEAM_API_KEY=KEY).json

    outcomes = {each["name"]: each["outcome"] for each in told}
    assert list(outcomes) == list(CHECKS)
    not_of_the_machine = outcomes.keys() - {"redis-keeps", "redis", "memory", "disk"}
    assert {outcomes[name] for name in not_of_the_machine} == {"ok"}
    assert all(each["mend"] for each in told if each["outcome"] != "ok")


def test_the_doctor_finds_what_is_wrong(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Exit 1; each with how to mend it."""
    redis.rpush("rq:queue:events", "pickled")
    redis.hset(
        "rq:job:pickled", mapping={"created_at": clock.iso(clock.now()), "data": b"\x80\x04.", "origin": "events"}
    )
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with engine.begin() as connection:
            issues.raise_finding(connection, "seam_refuses_us", message="Seam does not accept our API key")
            registration.write(connection, Registration(url="https://x", state="missing", sentence="None has it"))
            checkpoints.write(connection, "skew", {"seconds": -400})

        said = seamkeeper("doctor")
    finally:
        redis.config_set("maxmemory-policy", "noeviction")

    assert said.code == 1
    failed = {line.split()[1] for line in said.out.splitlines() if line.startswith("fail")}
    assert failed >= {"redis-keeps", "api-key", "webhook", "jobs", "workers", "scheduler", "clock"}
    assert "400 s behind Seam's" in said.out
    assert "Start `seamkeeper worker`." in said.out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_doctor_without_redis(seamkeeper: Seamkeeper) -> None:
    """The checks that need it fail, the others are there all the same; `--only` names some."""
    told = seamkeeper("doctor", "--json", "--only", "redis", "--only", "database", REDIS_URL=NOBODY)

    assert told.code == 1
    assert [(each["name"], each["outcome"]) for each in told.json] == [("database", "ok"), ("redis", "fail")]
    assert seamkeeper("doctor", "--only", "nonsense").code == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_config_tells_no_secret(seamkeeper: Seamkeeper, tmp_path: object) -> None:
    """Where each came from; of a long secret the last four letters, of a short one and of passwords nothing."""
    given = {"SEAM_API_KEY": KEY, "SEAM_WEBHOOK_SECRET": SECRET, "SEAMKEEPER_REPAIR": "plan",
             "SEAMKEEPER_CONSOLE_LOGINS": "ada:admin:correct-horse-battery"}  # fmt: skip

    words, told = seamkeeper("config", "show", **given), seamkeeper("config", "show", "--json", **given).json

    for hidden in (KEY[:-4], SECRET[:-4], "correct-horse"):
        assert hidden not in words.out + json.dumps(told)
    assert told["SEAM_API_KEY"] == {"value": "set, ends …a1b2", "source": "environment"}
    assert told["SEAMKEEPER_REPAIR"] == {"value": "plan", "source": "environment"}
    assert told["SEAMKEEPER_SEAM_RATE"] == {"value": 100, "source": "default"}
    assert told["SEAMKEEPER_CONSOLE_LOGINS"]["value"] == "ada (admin)"
    assert seamkeeper("config", "show", "--json", SEAM_API_KEY="short").json["SEAM_API_KEY"]["value"] == "set, hidden"


def test_config_schema_and_env(seamkeeper_anywhere: Seamkeeper) -> None:
    """Every setting, and a template that changes nothing as it stands."""
    told = seamkeeper_anywhere("config", "schema", "--json").json
    lines = seamkeeper_anywhere("config", "env").out.splitlines()

    assert [each["name"] for each in told] == [setting.name for setting in SETTINGS]
    assert all(line.startswith("#") for line in lines if line)
    assert sum(line.startswith("#SEAMKEEPER_REPAIR=") for line in lines) == 1


def _be_well(redis: Redis) -> None:
    redis.sadd("rq:workers", "rq:worker:w")
    fields = {"state": "idle", "last_heartbeat": clock.iso(clock.now() - timedelta(seconds=1))}
    redis.hset("rq:worker:w", mapping={**fields, "queues": "events,reconcile,resync", "seamkeeper_version": "1"})
    redis.set("rq:scheduler-lock:events", "here-1", ex=60)
