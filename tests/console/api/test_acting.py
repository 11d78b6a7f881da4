"""Asking for work: looks at users, replays; each in the audit, with the token's name in its reason."""

from __future__ import annotations

from redis import Redis
from sqlalchemy import Engine

from seamkeeper import audit, dead
from seamkeeper.dead import Failure, Subject
from tests.console.api.conftest import Api, Ask
from tests.console.web.conftest import keep_event, keep_user


def test_a_look_at_one_user(api: Api, engine: Engine, redis: Redis) -> None:
    """One job, however often it is asked; 404 for a user nobody knows."""
    keep_user(engine, "u1")

    first, again = (api("POST", "/users/u1/sync") for _ in range(2))

    assert (first.status_code, first.json()) == (202, again.json())
    assert redis.llen("rq:queue:reconcile") == 1
    assert b"sync by admin app (API)" in redis.hget(f"rq:job:{first.json()['job_id']}", "description")
    assert api("POST", "/users/u9/sync").status_code == 404
    with engine.connect() as connection:
        lines = audit.lines(connection, kind="user", subject_id="u9")
    assert [(line["action"], line["outcome"]) for line in lines] == [("user.sync", "refused")]


def test_a_look_at_many(api: Api, redis: Redis) -> None:
    """Users, access systems, all; nobody at all is a mistake."""
    asked = {"users": ["u1", "u2", "u1"], "systems": ["s1"], "everything": True, "full": True}

    answer = api("POST", "/sync", json=asked)

    assert (answer.status_code, answer.json()) == (202, {"users": 2, "systems": 1, "everything": True})
    assert redis.llen("rq:queue:reconcile") == 2
    assert redis.llen("rq:queue:resync") == 2
    assert api("POST", "/sync", json={}).status_code == 422
    assert api("POST", "/sync", json={"user": ["u1"]}).json()["error"]["fields"] == {"user": ["is not known here"]}


def test_a_replay(api: Api, engine: Engine, redis: Redis) -> None:
    """Planned, started, stopped, resumed; a plan changes nothing."""
    for number in range(3):
        keep_event(engine, f"e{number}", status="dead", reason="no")

    plan = api("POST", "/replays/plan", json={"status": "dead"}).json()
    assert (plan["matched"], plan["eligible"], plan["api_calls"]) == (3, 3, 1)
    assert redis.llen("rq:queue:resync") == 0
    started = api("POST", "/replays", json={"status": "dead", "reason": "a test"})

    replay = started.json()
    assert (started.status_code, replay["state"], replay["asked_by"]) == (202, "running", "admin app (API)")
    assert redis.llen("rq:queue:resync") == 1
    path = f"/replays/{replay['replay_id']}"
    assert api("POST", f"{path}/stop").json()["state"] == "stopped"
    assert api.get(path)["state"] == "stopped"
    assert api("POST", f"{path}/resume").json()["state"] == "running"
    assert [each["replay_id"] for each in api.get("/replays")["items"]] == [replay["replay_id"]]
    assert api("POST", "/replays", json={"ids": ["none"]}).status_code == 409
    for wrong in ({}, {"ids": ["e1"], "status": "dead"}, {"status": "nonsense"}, {"since": "yesterday"}):
        assert api("POST", "/replays", json=wrong).status_code == 422


def test_a_replay_of_events_alone(api: Api, engine: Engine) -> None:
    """A dead user stands beside them, and is only taken along when nothing else is said."""
    keep_event(engine, "e1", status="dead", reason="no")
    with engine.begin() as connection:
        mina = Subject("user", "u7", "workers.jobs.reconcile_user", acs_user_id="u7")
        dead.write(connection, mina, Failure("Seam was silent", "seam:no_answer"), tries=8)

    plans = [api("POST", "/replays/plan", json={"status": "dead"} | more).json() for more in ({}, {"kind": "event"})]

    assert [plan["matched"] for plan in plans] == [2, 1]


def test_one_event_again(api: Api, engine: Engine, redis: Redis) -> None:
    """A replay of one; 404 for one that is not kept."""
    keep_event(engine, "e1", status="dead", reason="no")

    answer = api("POST", "/events/e1/replay")

    assert (answer.status_code, answer.json()["eligible"]) == (202, 1)
    assert redis.llen("rq:queue:resync") == 1
    assert api("POST", "/events/e9/replay").status_code == 404


def test_me(api_of: Ask) -> None:
    """Name and role of the token."""
    assert api_of("viewer").get("/me") == {"name": "viewer app", "role": "viewer"}
