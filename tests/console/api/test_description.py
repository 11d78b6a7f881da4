"""openapi.json: whole, and true."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import jsonschema
import pytest

from console.api import events, queues, users
from seamkeeper import journal, mirror
from seamkeeper.queues import QUEUES
from seamkeeper.settings import ROLES
from tests.console.api.conftest import DESCRIPTION, OPERATIONS, Api

_READS = {"400", "401", "403", "405", "422", "429", "500", "503"}
_ids = [f"{method} {path}" for method, path, _ in OPERATIONS]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=_ids)
def test_every_operation_is_whole(method: str, path: str, operation: dict[str, Any]) -> None:
    """A name, words, a role, the token, and each error it can answer with, in the one envelope."""
    documented = set(operation["responses"])

    assert operation["description"].strip()
    assert operation["x-role"] in ROLES
    assert operation["security"] == [{"token": []}]
    assert documented >= _READS | ({"413"} if method != "GET" else set())
    assert method == "GET" or operation["x-role"] != "viewer"
    assert "{" not in path or "404" in documented or path.startswith(("/desired/", "/queues/"))
    for status, answer in operation["responses"].items():
        schema = answer["content"]["application/json"]["schema"]
        assert (schema == {"$ref": "#/components/schemas/Error"}) == (int(status) >= 400)


def test_it_is_served_as_it_is(api: Api) -> None:
    """OpenAPI 3.1 with the address of the API and the bearer scheme; names of operations are unique."""
    answer = api.client.get("/api/v1/openapi.json", headers={"authorization": f"Bearer {api.token}"})

    assert answer.json() == DESCRIPTION
    assert DESCRIPTION["openapi"].startswith("3.1")
    assert DESCRIPTION["servers"] == [{"url": "/api/v1"}]
    assert DESCRIPTION["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(names)) == len(names)
    for schema in DESCRIPTION["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_its_words_are_those_of_the_code() -> None:
    """States and queues that it lists are all there are."""
    assert get_args(get_args(users.Sync)[0]) == mirror.SYNCS
    assert get_args(get_args(users.Health)[0]) == mirror.HEALTHS
    assert get_args(events.Status) == journal.STATUSES
    assert get_args(queues.Name) == QUEUES


def test_the_command_line_does_not_wait_for_it() -> None:
    """`seamkeeper --help` loads neither FastAPI nor pydantic."""
    program = "import sys, console.cli; print(*sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert {"fastapi", "pydantic", "starlette"} & set(loaded.stdout.split()) == set()
