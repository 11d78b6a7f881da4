"""The simulator's resources and events are written as Seam's schema says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from simulator.api import OPERATIONS
from simulator.records import Schedule
from simulator.serve import Running
from simulator.shapes import MUTATION_MESSAGES
from simulator.world import MESSAGES, World

from .schema_check import misfits

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def _someone_with(situation: str, world: World) -> str:
    """A user in one of the situations that the shape has to show."""
    id = world.add_user()
    user = world.find_user(id)
    if situation == "nameless":
        id = world.add_user(full_name=None, email_address=None, phone_number=None)
    elif situation == "scheduled":
        world.edit_at_provider(id, access_schedule=Schedule(NOW, NOW + timedelta(days=3)))
    elif situation == "open-ended":
        world.edit_at_provider(id, access_schedule=Schedule(NOW, None))
    elif situation == "with an identity":
        id = world.add_user(identity=world.new_identity(full_name="Ada"))
    elif situation == "updating":
        world.update_user(user, {"full_name": "New", "access_schedule": Schedule(NOW, None)})
        world.suspend_user(user, True)
    elif situation == "schedule removed":
        world.edit_at_provider(id, access_schedule=Schedule(NOW, None))
        world.update_user(user, {"access_schedule": None})
    elif situation == "creating":
        id = world.create_user(world.acs_system_id, full_name="Ada").acs_user_id
    elif situation == "deleting":
        world.delete_user(user)
    return id


@pytest.mark.parametrize(
    "situation",
    [
        "plain",
        "nameless",
        "scheduled",
        "open-ended",
        "with an identity",
        "updating",
        "schedule removed",
        "creating",
        "deleting",
    ],
)
def test_a_user_fits_the_schema(schema: dict[str, Any], situation: str) -> None:
    """In every situation an acs_user has the keys, types and codes that Seam publishes, and no others."""
    world = World()

    shape = world.user(_someone_with(situation, world))

    assert misfits(shape, schema["acs_user"]) == []


def test_every_issue_code_fits_the_schema(schema: dict[str, Any]) -> None:
    """Each error and warning code that Seam publishes can be raised, with a message, and is written properly."""
    world = World()
    id = world.add_user()

    for code in schema["error_codes"]:
        world.raise_error(id, code)
    for code in schema["warning_codes"]:
        world.raise_warning(id, code)

    shape = world.user(id)
    assert shape is not None
    assert misfits(shape, schema["acs_user"]) == []
    assert {each["error_code"] for each in shape["errors"]} == set(schema["error_codes"])
    assert set(MESSAGES) == {*schema["error_codes"], *schema["warning_codes"]}
    assert set(MUTATION_MESSAGES) <= set(schema["mutation_codes"])


def test_every_event_fits_the_schema(schema: dict[str, Any]) -> None:
    """Each event that the world makes by itself has the fields of its type."""
    world = World()
    id = world.add_user(announce=True)
    credential = world.issue_credential(id)
    world.delete_credential(credential)
    world.disconnect()
    world.connect()
    world.delete_at_provider(id)

    found = {event.body["event_type"]: _event_misfits(event.body, schema) for event in world.events}

    assert list(found) == [
        "acs_user.created",
        "acs_credential.issued",
        "acs_credential.deleted",
        "acs_system.disconnected",
        "acs_system.connected",
        "acs_user.deleted",
    ]
    assert not any(found.values())


def _event_misfits(body: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    return misfits(body, {"type": "object", "properties": schema["events"][body["event_type"]]})


def test_a_disconnection_says_why(schema: dict[str, Any]) -> None:
    """The event carries the error of the system in the first of its four lists."""
    world = World()

    world.disconnect()

    body = world.events[-1].body
    assert [each["error_code"] for each in body["acs_system_errors"]] == ["acs_system_disconnected"]
    lists = ("acs_system_warnings", "connected_account_errors", "connected_account_warnings")
    assert [body[name] for name in lists] == [[], [], []]


def test_systems_webhooks_and_pages_fit_the_schema(sim: Running, client: httpx.Client, schema: dict[str, Any]) -> None:
    """The other resources fit too, as they come out of the API."""
    sim.world.disconnect()

    system = client.get("/acs/systems/list").json()["acs_systems"][0]
    webhook = client.post("/webhooks/create", json={"url": "https://example.com/hook"}).json()["webhook"]
    first = client.get("/acs/users/list", params={"limit": 2}).json()["pagination"]
    last = client.get("/acs/users/list").json()["pagination"]

    assert misfits(system, schema["acs_system"]) == []
    assert misfits(webhook, schema["webhook"]) == []
    assert misfits(first, schema["pagination"]) == []
    assert misfits(last, schema["pagination"]) == []


def test_endpoints_take_the_verbs_and_parameters_of_the_schema(schema: dict[str, Any]) -> None:
    """Each operation has Seam's verbs, and knows no parameter that Seam does not."""
    published = schema["endpoints"]
    not_published = {"/acs/credentials/get"}  # it is in the SDK, and outside of the part of the schema kept here

    for operation in OPERATIONS:
        if operation.path not in not_published:
            assert sorted({operation.verb, "POST"}) == published[operation.path]["verbs"], operation.path
            assert set(operation.params) <= set(published[operation.path]["params"]), operation.path
    assert {each.path for each in OPERATIONS} == {*published, *not_published}


@pytest.mark.parametrize("path", ["/acs/users/get", "/acs/users/list", "/acs/users/create", "/acs/users/update"])
def test_user_endpoints_take_every_parameter_of_the_schema(schema: dict[str, Any], path: str) -> None:
    """Of users nothing is left out."""
    operation = next(each for each in OPERATIONS if each.path == path)

    required = {name for name, param in operation.params.items() if param.is_required}
    published = schema["endpoints"][path]["params"]

    assert set(operation.params) == set(published)
    assert required == {name for name, each in published.items() if not each.get("optional")}


def test_the_same_seed_gives_the_same_world() -> None:
    """Ids and people depend on nothing but the seed."""
    one, same, other = World(seed=3, users=4), World(seed=3, users=4), World(seed=4, users=4)

    assert list(one.users) == list(same.users)
    assert [u.full_name for u in one.users.values()] == [u.full_name for u in same.users.values()]
    assert list(one.users) != list(other.users)
