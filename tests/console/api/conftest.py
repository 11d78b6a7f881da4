"""The API over real stores, asked by a token of each role, and held against its own description."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from console.api.app import create_api
from console.web.app import create_app
from seamkeeper.settings import Login, Settings

TOKENS = {role: f"{role}-token-of-32-characters-here" for role in ("viewer", "operator", "admin")}
API_TOKENS = tuple(Login(f"{role} app", role, TOKENS[role]) for role in ("viewer", "operator", "admin"))
DESCRIPTION = json.loads(json.dumps(create_api().openapi()))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DESCRIPTION["paths"].items()
    for method, operation in methods.items()
]
_PATHS = [(re.compile(re.sub(r"\{\w+\}", "(.+)", path)), path) for path in DESCRIPTION["paths"]]


@pytest.fixture
def settings(redis_url: str, database_url: str) -> Settings:
    """A console with a login and three tokens."""
    logins = (Login("ops", "admin", "a password of the console"),)
    return Settings(redis_url=redis_url, database_url=database_url, console_logins=logins, api_tokens=API_TOKENS)


class Api:
    """A token; every answer is held against openapi.json before a test sees it."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client, self.token = client, token

    def __call__(self, method: str, path: str, **more: Any) -> Response:
        """`path` is below /api/v1."""
        headers = {"authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        answer: Any = self.client.request(method, f"/api/v1{path}", headers=headers, **more)
        assert_described(method, path, answer)
        found: Response = answer
        return found

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a good answer."""
        answer = self("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


Ask = Callable[[str], Api]


@pytest.fixture
def api_of(settings: Settings) -> Iterator[Ask]:
    """The API, asked by a role."""
    with TestClient(create_app(settings), raise_server_exceptions=False, follow_redirects=False) as client:
        yield lambda role: Api(client, TOKENS[role])


@pytest.fixture
def api(api_of: Ask) -> Api:
    """Asked by an admin."""
    return api_of("admin")


def assert_described(method: str, path: str, answer: Any) -> None:
    """The status is one that the operation names, and the body fits what it says of it."""
    bare = path.partition("?")[0]
    known = next((DESCRIPTION["paths"][each] for pattern, each in _by_length() if pattern.fullmatch(bare)), {})
    operation = known.get(method.lower())
    schema: Any = {"$ref": "#/components/schemas/Error"}
    if operation is not None:
        assert str(answer.status_code) in operation["responses"], (method, path, answer.status_code, answer.text)
        schema = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
    assert answer.headers["content-type"] == "application/json"
    whole = {**schema, "components": DESCRIPTION["components"]}
    jsonschema.validate(answer.json(), whole, cls=jsonschema.Draft202012Validator)
    assert answer.headers["cache-control"] == "no-store"


def _by_length() -> list[tuple[re.Pattern[str], str]]:
    """An id may hold anything: `/desired/import` is no id, and `/users/u1/sync` is longer than `/users/{id}`."""
    return sorted(_PATHS, key=lambda each: (each[1].count("{"), -len(each[1])))
