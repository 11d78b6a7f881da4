"""Setting the desired state: checked by field, replaced as a whole, and the same again is nothing."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, select

from console.api.desired import MOST
from seamkeeper import audit, desired
from seamkeeper.database import desired_users
from seamkeeper.settings import Settings
from tests.console.api.conftest import Api, Ask
from tests.console.web.conftest import keep_user

JACK = {"full_name": "Jack Doe", "phone_number": "+15555550101", "is_suspended": False}
SCHEDULE = {"starts_at": "2026-12-01T10:00:00Z", "ends_at": "2099-12-01T10:00:00Z"}


def _wanted(engine: Engine, acs_user_id: str) -> dict[str, Any]:
    with engine.connect() as connection:
        return desired.desired_of(connection, acs_user_id)


def _written_at(engine: Engine, acs_user_id: str) -> Any:
    with engine.connect() as connection:
        is_one = desired_users.c.acs_user_id == acs_user_id
        return connection.execute(select(desired_users.c.updated_at).where(is_one)).scalar_one()


def _jobs(redis: Redis) -> list[dict[bytes, bytes]]:
    return [redis.hgetall(key) for key in redis.scan_iter("rq:job:*")]


def test_a_new_tenant(api: Api, engine: Engine, redis: Redis) -> None:
    """It is kept, the user is looked at now, and the reason names the token."""
    answer = api("PUT", "/desired/u1", json=JACK | {"access_schedule": SCHEDULE})

    assert answer.json() == {
        "acs_user_id": "u1", "desired": JACK | {"access_schedule": SCHEDULE}, "changed": True, "reconcile": "asked",
    }  # fmt: skip
    assert _wanted(engine, "u1") == JACK | {"access_schedule": SCHEDULE}
    assert api.get("/desired/u1") == {"acs_user_id": "u1", "desired": JACK | {"access_schedule": SCHEDULE}}
    (job,) = _jobs(redis)
    assert b"desired state set by admin app (API)" in job[b"description"]


def test_the_same_again_is_nothing(api: Api, engine: Engine, redis: Redis) -> None:
    """Nothing is written, nobody is looked at; the next difference is both."""
    api("PUT", "/desired/u1", json=JACK)
    written_at = _written_at(engine, "u1")
    redis.flushall()

    again = api("PUT", "/desired/u1", json=dict(reversed(JACK.items())))

    assert again.json()["changed"] is False
    assert again.json()["reconcile"] == "not_needed"
    assert _written_at(engine, "u1") == written_at
    assert _jobs(redis) == []
    assert api("PUT", "/desired/u1", json=JACK | {"is_suspended": True}).json()["changed"] is True
    assert _written_at(engine, "u1") > written_at
    assert len(_jobs(redis)) == 1


def test_putting_replaces(api: Api, engine: Engine) -> None:
    """What is not named is not managed any more; null is a schedule, too: none."""
    api("PUT", "/desired/u1", json=JACK | {"access_schedule": SCHEDULE})

    api("PUT", "/desired/u1", json={"email_address": " jack@example.com ", "access_schedule": None})

    assert _wanted(engine, "u1") == {"email_address": "jack@example.com", "access_schedule": None}
    assert api("PUT", "/desired/u1", json={"access_schedule": None}).json()["changed"] is True
    assert api("PUT", "/desired/u1", json={"access_schedule": None}).json()["changed"] is False


def test_every_mistake_is_told_by_field(api: Api, engine: Engine, redis: Redis) -> None:
    """At once, without repeating the values, and nothing is kept."""
    wrong = {
        "full_name": " ", "email_address": "nobody", "phone_number": "555 0101", "is_suspended": "yes", "room": 7,
        "hid_acs_system_id": "a b", "access_schedule": {"starts_at": "2026-12-01T10:00:00Z", "ends_at": None},
    }  # fmt: skip

    answer = api("PUT", "/desired/u1", json=wrong)

    error = answer.json()["error"]
    assert answer.status_code == 422
    assert error["type"] == "invalid_input"
    assert set(error["fields"]) == set(wrong)
    assert error["fields"]["phone_number"] == ["must be in E.164 form, such as +15555550100"]
    assert error["fields"]["room"] == ["is not a field that can be managed"]
    assert "555 0101" not in answer.text
    assert _wanted(engine, "u1") == {}
    assert _jobs(redis) == []


@pytest.mark.parametrize("body", ["{}", "[]", "null", "7", '"x"', "{", "", '{"full_name": "\\ud800"}'])
def test_what_is_no_desired_state(api: Api, body: str) -> None:
    """422, whatever it is; 400 for what is nested too deep to be read."""
    json_type = {"content-type": "application/json"}
    answer = api("PUT", "/desired/u1", content=body, headers=json_type)

    assert answer.status_code == 422
    assert answer.json()["error"]["fields"]
    assert (
        api("PUT", "/desired/u1", content="[" * 5000, headers={"content-type": "application/json"}).status_code == 400
    )


@pytest.mark.parametrize("acs_user_id", ["a%20b", "%00", "%C3%A4", "x" * 201])
def test_what_is_no_id(api: Api, acs_user_id: str) -> None:
    """422 at the id; one with a slash is an id."""
    assert "acs_user_id" in api("PUT", f"/desired/{acs_user_id}", json=JACK).json()["error"]["fields"]
    assert api("PUT", "/desired/a/b", json=JACK).json()["acs_user_id"] == "a/b"


def test_an_import(api: Api, engine: Engine, redis: Redis) -> None:
    """The good ones are kept and looked at, the others named by place and field; again, it is nothing."""
    users = [
        {"acs_user_id": "u1", **JACK},
        {"acs_user_id": "u2", "phone_number": "0101"},
        {"acs_user_id": "u1", "full_name": "Twice"},
        {"full_name": "Nobody"},
        {"acs_user_id": "u3", "full_name": "Mina Patel"},
        {"acs_user_id": "u4"},
    ]

    first = api("POST", "/desired/import", json={"users": users})
    again = api("POST", "/desired/import", json={"users": users})

    assert first.status_code == 207
    found = first.json()
    assert [found[name] for name in ("changed", "unchanged", "refused", "reconcile")] == [2, 0, 4, "asked"]
    assert [line["outcome"] for line in found["items"]] == ["changed", *["refused"] * 3, "changed", "refused"]
    assert [list(line["fields"] or ()) for line in found["items"]] == [
        [], ["phone_number"], ["acs_user_id"], ["acs_user_id"], [], ["body"],
    ]  # fmt: skip
    assert _wanted(engine, "u1") == JACK
    assert _wanted(engine, "u2") == {}
    assert [again.json()[name] for name in ("changed", "unchanged", "reconcile")] == [0, 2, "not_needed"]
    assert len(_jobs(redis)) == 2
    good = api("POST", "/desired/import", json={"users": users[:1]})
    assert good.status_code == 200


def test_a_thousand_at_once_and_no_more(api: Api, engine: Engine, redis: Redis) -> None:
    """The most is taken in one call; one more is refused as a whole."""
    users = [{"acs_user_id": f"u{number:04}", "full_name": f"Person {number}"} for number in range(MOST + 1)]

    assert api("POST", "/desired/import", json={"users": users[:MOST]}).json()["changed"] == MOST
    assert api("POST", "/desired/import", json={"users": users}).status_code == 422
    assert redis.llen("rq:queue:reconcile") == MOST
    pages, cursor = [], None
    while cursor is not None or not pages:
        found = api.get("/desired", limit=200, **({"cursor": cursor} if cursor else {}))
        pages.append([each["acs_user_id"] for each in found["items"]])
        cursor = found["next_cursor"]
    assert [name for page in pages for name in page] == [each["acs_user_id"] for each in users[:MOST]]


def test_no_more_of_a_user(api: Api, engine: Engine, redis: Redis) -> None:
    """Deleting stops the managing, once; the user is looked at, so that no old verdict stays."""
    api("PUT", "/desired/u1", json=JACK)
    redis.flushall()

    assert api("DELETE", "/desired/u1").json() == {"acs_user_id": "u1", "changed": True, "reconcile": "asked"}
    assert api("DELETE", "/desired/u1").json()["changed"] is False
    assert len(_jobs(redis)) == 1
    assert api("GET", "/desired/u1").status_code == 404


def test_every_write_is_in_the_audit(api: Api, engine: Engine) -> None:
    """Who, as what, on whom, with what outcome; no names or numbers of people."""
    api("PUT", "/desired/u1", json=JACK)
    api("POST", "/desired/import", json={"users": [{"acs_user_id": "u2", **JACK}]})
    api("DELETE", "/desired/u1")

    with engine.connect() as connection:
        lines = audit.lines(connection)
    assert [(line["action"], line["subject_id"], line["outcome"]) for line in reversed(lines)] == [
        ("desired.put", "u1", "done"), ("desired.import", None, "done"), ("desired.delete", "u1", "done"),
    ]  # fmt: skip
    assert {(line["who"], line["role"]) for line in lines} == {("admin app", "admin")}
    assert "Jack" not in str(lines)
    assert "5555" not in str(lines)


def test_without_redis_it_is_kept(settings: Settings, engine: Engine) -> None:
    """The answer says that the look at the user comes later."""
    from dataclasses import replace

    from starlette.testclient import TestClient

    from console.web.app import create_app
    from tests.console.api.conftest import TOKENS

    with TestClient(create_app(replace(settings, redis_url="redis://127.0.0.1:1/0"))) as client:
        answer = Api(client, TOKENS["operator"])("PUT", "/desired/u1", json=JACK)

    assert (answer.status_code, answer.json()["reconcile"]) == (200, "later")
    assert _wanted(engine, "u1") == JACK


def test_a_viewer_sees_masked_values_and_sets_nothing(api: Api, api_of: Ask, engine: Engine) -> None:
    """Names, addresses and numbers are masked; writing is 403 before the body is looked at."""
    api("PUT", "/desired/u1", json=JACK | {"email_address": "jack@example.com"})
    viewer = api_of("viewer")

    assert viewer.get("/desired/u1")["desired"] == {
        "full_name": "J… D…", "phone_number": "+1…0101", "email_address": "j…@example.com", "is_suspended": False,
    }  # fmt: skip
    assert "Jack" not in str(viewer.get("/desired"))
    assert viewer("PUT", "/desired/u1", json={"nonsense": 1}).status_code == 403
    assert _wanted(engine, "u1")["full_name"] == "Jack Doe"


def test_a_table_that_somebody_else_fills(api: Api, engine: Engine) -> None:
    """The customer's own application may write it: whatever stands there can be read."""
    keep_user(engine, "u1")
    with engine.begin() as connection:
        connection.execute(
            desired_users.insert(),
            [{"acs_user_id": "u1", "access_schedule": "next week"},
             {"acs_user_id": "u2", "access_schedule": [float("nan"), "\ud800"]}],
        )  # fmt: skip

    assert len(api.get("/desired")["items"]) == 2
    assert api.get("/users/u1")["desired"]["access_schedule"] == "next week"
