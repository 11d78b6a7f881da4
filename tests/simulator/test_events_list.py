"""`/events/list`: the way to the events that no delivery brought."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Literal

import httpx
import pytest

from simulator.clock import in_milliseconds, read_time
from simulator.serve import Running

UNKNOWN = str(uuid.UUID(int=1, version=4))


@pytest.mark.parametrize("params", [{}, {"since": "2026-01-01", "between": ["2026-01-01", "2026-01-02"]}], ids=str)
def test_events_need_one_window(client: httpx.Client, params: dict[str, Any]) -> None:
    """Neither and both are 400, in the words recorded at Seam."""
    answer = client.get("/events/list", params=params)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Must specify either since or between"


def test_a_window_of_events_excludes_both_ends(sim: Running, client: httpx.Client) -> None:
    """An event of the very moment at either end is outside."""
    event = sim.world.emit("acs_user.created", acs_user_id=UNKNOWN)
    at = read_time(event["created_at"])
    tick = timedelta(milliseconds=1)

    def found(**params: Any) -> int:
        return len(client.post("/events/list", json=params).json()["events"])

    assert found(since=in_milliseconds(at)) == 0
    assert found(since=in_milliseconds(at - tick)) == 1
    assert found(between=[in_milliseconds(at), in_milliseconds(at + tick)]) == 0
    assert found(between=[in_milliseconds(at - tick), in_milliseconds(at)]) == 0
    assert found(between=[in_milliseconds(at - tick), in_milliseconds(at + tick)]) == 1


def test_events_are_filtered_and_limited(sim: Running, client: httpx.Client) -> None:
    """By type, types, user and system; `limit` is 500 when it is not given."""
    world = sim.world
    ids = list(world.users)
    world.delete_at_provider(ids[0])
    world.issue_credential(ids[1])
    for _ in range(600):
        world.emit("acs_user.created", acs_user_id=ids[1])

    def found(**params: Any) -> list[str]:
        answer = client.get("/events/list", params={"since": "2020-01-01T00:00:00Z", **params}).json()
        return [event["event_type"] for event in answer["events"]]

    assert len(found()) == 500
    assert len(found(limit=7)) == 7
    assert len(found(unstable_offset=500)) == 102
    assert found(event_types=["acs_user.deleted", "acs_credential.issued"]) == [
        "acs_user.deleted",
        "acs_credential.issued",
    ]
    assert found(event_type="acs_user.deleted") == ["acs_user.deleted"]
    assert found(acs_user_id=ids[0]) == ["acs_user.deleted"]
    assert found(acs_system_id=world.acs_system_id) == ["acs_user.deleted", "acs_credential.issued"]


@pytest.mark.parametrize("order", ["oldest", "newest", "shuffled"])
def test_the_order_is_a_setting(
    sim: Running, client: httpx.Client, order: Literal["oldest", "newest", "shuffled"]
) -> None:
    """Seam documents none, so a consumer must do with any."""
    sim.world.settings.event_order = order
    made = [sim.world.emit("acs_user.created")["event_id"] for _ in range(20)]

    got = client.get("/events/list", params={"since": "2020-01-01T00:00:00Z"}).json()["events"]

    ids = [event["event_id"] for event in got]
    assert sorted(ids) == sorted(made)
    assert (ids == made, ids == made[::-1]) == (order == "oldest", order == "newest")


def test_one_event_is_got(sim: Running, client: httpx.Client) -> None:
    """By its id, or the last of its type."""
    first = sim.world.emit("acs_user.created")
    last = sim.world.emit("acs_user.created")

    assert client.get("/events/get", params={"event_id": first["event_id"]}).json()["event"] == first
    assert client.get("/events/get", params={"event_type": "acs_user.created"}).json()["event"] == last
    assert client.get("/events/get").status_code == 400
