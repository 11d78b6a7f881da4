"""Seam's own Python SDK takes the simulator for Seam."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from seam import NULL, Seam
from seam.exceptions import SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError

from simulator.serve import Running


@pytest.fixture
def seam(sim: Running) -> Iterator[Seam]:
    """The SDK with the simulator as its endpoint."""
    seam = Seam(api_key=sim.api_key, endpoint=sim.url)
    yield seam
    seam.close()


def test_users_are_read(sim: Running, seam: Seam) -> None:
    """One, all, and page by page."""
    ids = list(sim.world.users)

    assert seam.acs.users.get(acs_user_id=ids[0]).full_name == sim.world.find_user(ids[0]).full_name
    assert [user.acs_user_id for user in seam.acs.users.list(acs_system_id=sim.world.acs_system_id)] == ids
    pages = seam.create_paginator(seam.acs.users.list, {"limit": 2})
    assert [user.acs_user_id for user in pages.flatten_to_list()] == ids


def test_the_raw_answer_is_the_whole_resource(sim: Running, seam: Seam) -> None:
    """`client.get` gives the JSON that the mirror keeps."""
    id = next(iter(sim.world.users))

    assert seam.client.get("/acs/users/get", params={"acs_user_id": id})["acs_user"] == sim.world.user(id)


def test_users_are_written(sim: Running, seam: Seam) -> None:
    """By PATCH as the SDK does, by POST as the documents do, and null removes the schedule."""
    id = next(iter(sim.world.users))

    seam.acs.users.update(acs_user_id=id, full_name="Ada")
    seam.client.post("/acs/users/update", json={"acs_user_id": id, "phone_number": "+12125550100"})
    seam.acs.users.update(acs_user_id=id, access_schedule=NULL)
    seam.acs.users.suspend(acs_user_id=id)
    sim.world.drain()

    user = sim.world.find_user(id)
    assert (user.full_name, user.phone_number, user.is_suspended) == ("Ada", "+12125550100", True)
    assert [seen.method for seen in sim.world.requests.list("/acs/users/update")] == ["PATCH", "POST", "PATCH"]


def test_a_user_is_created_and_deleted(sim: Running, seam: Seam) -> None:
    """Both end in their events."""
    made = seam.acs.users.create(acs_system_id=sim.world.acs_system_id, full_name="Ada")
    sim.world.drain()
    seam.acs.users.delete(acs_user_id=made.acs_user_id)
    sim.world.drain()

    events = seam.events.list(since="2020-01-01T00:00:00Z", acs_user_id=made.acs_user_id)
    assert [event.event_type for event in events] == ["acs_user.created", "acs_user.deleted"]


def test_systems_credentials_webhooks_and_the_workspace_are_read(sim: Running, seam: Seam) -> None:
    """The SDK finds every field that it looks for."""
    credential = sim.world.issue_credential(next(iter(sim.world.users)))
    webhook = seam.webhooks.create(url="https://example.com/hook", event_types=["acs_user.created"])

    assert [system.name for system in seam.acs.systems.list()] == ["Harbour House"]
    assert seam.acs.systems.get(acs_system_id=sim.world.acs_system_id).acs_user_count == 3
    assert seam.acs.credentials.get(acs_credential_id=credential).acs_user_id == next(iter(sim.world.users))
    assert [each.webhook_id for each in seam.webhooks.list()] == [webhook.webhook_id]
    assert seam.workspaces.get().workspace_id == sim.world.workspace_id
    between = ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"]
    assert len(seam.events.list(between=between, event_types=["acs_credential.issued"])) == 1


def test_refusals_come_out_as_the_sdks_errors(sim: Running, seam: Seam) -> None:
    """400, 404 and 401 have the classes that the SDK has for them."""
    id = next(iter(sim.world.users))

    with pytest.raises(SeamHttpInvalidInputError) as invalid:
        seam.acs.users.update(acs_user_id=id, full_name=" ")
    with pytest.raises(SeamHttpApiError) as missing:
        seam.acs.users.get(acs_user_id=sim.world.workspace_id)
    sim.world.api_key = "seam_another"
    with pytest.raises(SeamHttpUnauthorizedError) as closed:
        seam.acs.users.get(acs_user_id=id)

    assert [each.parameter_name for each in invalid.value.validation_errors] == ["full_name"]
    assert (missing.value.code, missing.value.status_code) == ("acs_user_not_found", 404)
    assert closed.value.request_id
