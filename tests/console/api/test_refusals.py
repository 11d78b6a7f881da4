"""What is refused, and how: one envelope, and never a mistake of ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as some
from starlette.testclient import TestClient

from console.api.body_limit import LONGEST
from console.web.app import create_app
from seamkeeper.settings import Settings
from tests.console.api.conftest import API_TOKENS, OPERATIONS, TOKENS, Api, Ask

_ids = [f"{method} {path}" for method, path, _ in OPERATIONS]
_FILLED = {"acs_user_id": "u1", "event_id": "e1", "issue_id": "1", "replay_id": "1", "name": "events"}


def _filled(path: str) -> str:
    return path.format_map(_FILLED)


@pytest.fixture
def on_sqlite(redis_url: str, migrated_sqlite: Path, tmp_path: Path) -> Settings:
    """For what has nothing to do with the kind of database."""
    path = shutil.copy(migrated_sqlite, tmp_path / "one.db")
    logins = API_TOKENS[:1]
    return Settings(redis_url=redis_url, database_url=f"sqlite:///{path}", console_logins=logins, api_tokens=API_TOKENS)


@pytest.fixture
def client(on_sqlite: Settings) -> Iterator[TestClient]:
    """The console over them."""
    with TestClient(create_app(on_sqlite), raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def test_nobody_gets_in_without_a_token(client: TestClient) -> None:
    """401 from every operation, the description included; too many wrong ones are 429, and a right one comes in."""
    for method, path, _ in OPERATIONS:
        answer = client.request(method, f"/api/v1{_filled(path)}")
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/api/v1/openapi.json").status_code == 401
    wrong = Api(client, "not the token")

    statuses = [wrong("GET", "/users").status_code for _ in range(12)]

    assert statuses == [401] * 10 + [429] * 2
    assert Api(client, TOKENS["viewer"])("GET", "/users").status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_each_operation_takes_its_role(client: TestClient, role: str) -> None:
    """Of every operation that takes more than this role: 403 with the role that it takes."""
    ranks = ("viewer", "operator", "admin")
    higher = [each for each in OPERATIONS if ranks.index(each[2]["x-role"]) > ranks.index(role)]

    for method, path, operation in higher:
        answer = Api(client, TOKENS[role])(method, _filled(path), json={})
        assert answer.status_code == 403
        assert f"takes the role {operation['x-role']}" in answer.json()["error"]["message"]
    assert higher


def test_a_page_elsewhere_cannot_write(client: TestClient) -> None:
    """With a login that a browser adds by itself: 403 in the envelope."""
    login = (API_TOKENS[0].name, API_TOKENS[0].secret)

    answer = client.put("/api/v1/desired/u1", json={}, auth=login, headers={"sec-fetch-site": "cross-site"})

    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "forbidden")


def test_other_addresses_and_methods(client: TestClient) -> None:
    """404 and 405 in the envelope."""
    api = Api(client, TOKENS["admin"])

    assert api("GET", "/nope").json()["error"] == {"type": "not_found", "message": "There is nothing at this address."}
    assert api("PATCH", "/desired/u1").status_code == 405
    assert api("DELETE", "/users").json()["error"]["type"] == "method_not_allowed"
    assert api("GET", "/users/").status_code in (404, 422)


def test_a_body_that_is_too_long(client: TestClient) -> None:
    """413, announced or not; one byte less is read."""
    api = Api(client, TOKENS["operator"])
    long = b'{"full_name": "' + b"x" * LONGEST + b'"}'

    def in_pieces() -> Iterator[bytes]:
        yield from (long[at : at + 65536] for at in range(0, len(long), 65536))

    assert api("PUT", "/desired/u1", content=long).status_code == 413
    assert api("PUT", "/desired/u1", content=in_pieces()).status_code == 413
    fits = (b'{"nonsense": "' + b"x" * LONGEST)[: LONGEST - 2] + b'"}'
    json_type = {"content-type": "application/json"}
    assert api("PUT", "/desired/u1", content=fits, headers=json_type).status_code == 422


def test_a_filter_that_is_not_known(client: TestClient) -> None:
    """A slip of the keyboard is told: else it would show everybody."""
    api = Api(client, TOKENS["viewer"])

    assert api("GET", "/users?helth=error").json()["error"]["fields"] == {"helth": ["is not known here"]}
    assert list(api("GET", "/users?limit=0").json()["error"]["fields"]) == ["limit"]
    for cursor in ("nonsense", "W10", "WzFd", "WyJcdTAwMDAiXQ", "%00", "W3t9XQ"):
        assert list(api("GET", f"/users?cursor={cursor}").json()["error"]["fields"]) == ["cursor"]
    for cursor in ("WyJhIl0", "Wzk5OTk5OTk5OTk5OTk5OTk5OTldCg"):
        assert api("GET", f"/issues?cursor={cursor}").status_code == 422
    assert api("GET", "/events?cursor=WyJhIiwgImIiXQ").status_code == 422


def test_times_at_the_end_of_the_calendar(api: Api) -> None:
    """What no database can hold is told; what it can is asked for."""
    for since in ("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "yesterday", "2026-11-22T08:30:00"):
        assert list(api("GET", f"/events?since={since}").json()["error"]["fields"]) == ["since"]
    for since in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert api("GET", f"/events?since={since}&until={since}").json()["items"] == []


def test_a_mistake_of_ours_tells_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 in the envelope, with the headers; the traceback goes to the log."""

    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("console.api.users.mirror.list_users", broken)

    answer = Api(client, TOKENS["viewer"])("GET", "/users")

    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "internal_error")
    assert "secret detail" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("method", "path", "_operation"), OPERATIONS, ids=_ids)
def test_stores_that_are_away(on_sqlite: Settings, method: str, path: str, _operation: Any) -> None:
    """503 for what needs them, in our words: nothing of a driver, an address or a statement."""
    bodies = {"/desired/import": {"users": [{"acs_user_id": "u1", "full_name": "Jack"}]},
              "/desired/{acs_user_id}": {"full_name": "Jack"}, "/issues/{issue_id}/snooze": {"hours": 1},
              "/sync": {"users": ["u1"]}, "/replays": {"ids": ["e1"]}, "/replays/plan": {"ids": ["e1"]},
              "/dead-letters/discard": {"ids": ["e1"], "number": 1, "reason": "x"}}  # fmt: skip
    away = replace(
        on_sqlite, redis_url="redis://127.0.0.1:1/0", database_url="postgresql+psycopg://seam:s3cret@127.0.0.1:1/none"
    )
    with TestClient(create_app(away), raise_server_exceptions=False) as client:
        answer = Api(client, TOKENS["admin"])(method, _filled(path), json=bodies.get(path))

    assert answer.status_code == (200 if path == "/me" else 503)
    assert "s3cret" not in answer.text
    assert "127.0.0.1" not in answer.text


_TEXT = some.text(some.characters(exclude_categories=["Cs"]), max_size=12) | some.sampled_from(
    ["u1", "e1", "1", "%", "\x00", "~", "../", "true", "-1", "9" * 30, "2026-11-22T08:30:00Z", "WyJhIl0"]
)
_IDS = ["u1", "1", "events", "%00", "a%2Fb", "%F0%9F%92%A9"]
_JSON = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=some.data())
def test_no_answer_is_a_mistake_of_ours(api_of: Ask, data: some.DataObject) -> None:
    """Whatever stands in path, query and body: an answer that the description knows, and never 500."""
    method, path, operation = data.draw(some.sampled_from(OPERATIONS))
    names = {each["name"]: each["in"] for each in operation.get("parameters", [])}
    asked = {name: data.draw(_TEXT) for name, place in names.items() if place == "query" and data.draw(some.booleans())}
    body = data.draw(_body(operation))

    ids = {
        name: data.draw(some.sampled_from(["u1", "1", "events", "%00", "a%2Fb", "%F0%9F%92%A9"])) for name in _FILLED
    }
    answer = api_of("admin")(method, path.format_map(ids), params=asked, content=body, headers=_TYPE)

    assert answer.status_code < 500, answer.text


_TYPE = {"content-type": "application/json"}


def _body(operation: dict[str, Any]) -> some.SearchStrategy[str]:
    """Of the fields that are known, with any values."""
    if "requestBody" not in operation:
        return some.just("")
    known = ["full_name", "phone_number", "access_schedule", "users", "acs_user_id", "ids", "status", "until", "hours"]
    fields = some.dictionaries(some.sampled_from(known), _JSON | some.lists(some.just({"acs_user_id": "u1"})))
    return (fields | _JSON).map(json.dumps)
