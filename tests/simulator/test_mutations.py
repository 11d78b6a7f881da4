"""What Seam accepts is pending for a while; then the access system takes it or refuses it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from simulator.records import Schedule
from simulator.serve import Running, running
from simulator.world import World
from tests.stack import eventually

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
DAY = {"starts_at": "2026-01-01T00:00:00.000Z", "ends_at": "2026-01-02T00:00:00.000Z"}


def _first(sim: Running) -> str:
    return next(iter(sim.world.users))


def _codes(user: dict[str, Any] | None) -> list[str]:
    assert user is not None
    return [each.get("error_code") or each["warning_code"] for each in user["errors"] + user["warnings"]]


def _pending(user: dict[str, Any] | None) -> list[str]:
    assert user is not None
    return [each["mutation_code"] for each in user["pending_mutations"]]


def test_an_update_is_pending_before_it_shows(sim: Running, client: httpx.Client) -> None:
    """`{"ok": true}` comes at once with the old value still there; drained, the new one is, trimmed."""
    id = _first(sim)
    old = sim.world.find_user(id).full_name

    answer = client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "  Ada Lovelace "})
    during = sim.world.user(id)
    sim.world.drain()
    after = sim.world.user(id)

    assert answer.json() == {"ok": True}
    assert during is not None
    assert during["full_name"] == old
    assert during["pending_mutations"][0]["from"] == {"full_name": old}
    assert during["pending_mutations"][0]["to"] == {"full_name": "Ada Lovelace"}
    assert after is not None
    assert (after["full_name"], after["pending_mutations"], after["errors"]) == ("Ada Lovelace", [], [])


def test_a_schedule_is_set_and_removed(sim: Running, client: httpx.Client) -> None:
    """It comes back in microseconds; null removes it."""
    id = _first(sim)

    client.patch("/acs/users/update", json={"acs_user_id": id, "access_schedule": DAY})
    sim.world.drain()
    with_schedule = sim.world.user(id)
    client.post("/acs/users/update", json={"acs_user_id": id, "access_schedule": None})
    removing = sim.world.user(id)
    sim.world.drain()

    assert with_schedule is not None
    assert with_schedule["access_schedule"] == {
        "starts_at": "2026-01-01T00:00:00.000000Z",
        "ends_at": "2026-01-02T00:00:00.000000Z",
    }
    assert removing is not None
    assert removing["pending_mutations"][0]["to"] == {"starts_at": None, "ends_at": None}
    assert "access_schedule" not in (sim.world.user(id) or {})


def test_what_is_there_already_is_not_pending(sim: Running, client: httpx.Client) -> None:
    """Setting a value that the user has changes nothing."""
    id = _first(sim)

    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": sim.world.find_user(id).full_name})

    assert _pending(sim.world.user(id)) == []


def test_the_last_write_wins(sim: Running, client: httpx.Client) -> None:
    """Taking a pending change back is a change, though the old value still shows."""
    id = _first(sim)
    old = sim.world.find_user(id).full_name

    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})
    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})
    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": old})
    waiting = _pending(sim.world.user(id))
    sim.world.drain()

    assert waiting == ["updating_user_information"] * 2
    assert sim.world.find_user(id).full_name == old


def test_a_failed_update_leaves_an_error_until_one_succeeds(sim: Running, client: httpx.Client) -> None:
    """The mutation goes, the old value stays; the next success clears the error."""
    id = _first(sim)
    old = sim.world.find_user(id).full_name
    sim.world.settings.failures = 1

    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})
    sim.world.drain()
    failed = sim.world.user(id)
    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})
    sim.world.drain()

    assert failed is not None
    assert (_codes(failed), _pending(failed), failed["full_name"]) == (["failed_to_update_on_acs_system"], [], old)
    assert _codes(sim.world.user(id)) == []
    assert sim.world.find_user(id).full_name == "Ada"


@pytest.mark.parametrize("prepare", ["email taken", "deleted externally"])
def test_the_access_system_has_its_own_reasons(sim: Running, client: httpx.Client, prepare: str) -> None:
    """An e-mail address in use, or a user who is not there any more, fails too (Seam, troubleshooting)."""
    id, other = list(sim.world.users)[:2]
    taken = "free@example.com"
    if prepare == "email taken":
        sim.world.edit_at_provider(other, email_address=taken)
    else:
        sim.world.delete_externally(id)

    client.patch("/acs/users/update", json={"acs_user_id": id, "email_address": taken})
    sim.world.drain()

    assert "failed_to_update_on_acs_system" in _codes(sim.world.user(id))


def test_an_ignored_field_is_accepted_and_not_kept(sim: Running, client: httpx.Client) -> None:
    """No error, nothing pending, and the old value: what a repair that fights looks like."""
    id = _first(sim)
    old = sim.world.find_user(id).phone_number
    sim.world.settings.ignored_fields = {"phone_number"}

    client.patch("/acs/users/update", json={"acs_user_id": id, "phone_number": "+12125550100"})
    sim.world.drain()

    user = sim.world.user(id)
    assert user is not None
    assert (user["phone_number"], _pending(user), _codes(user)) == (old, [], [])


def test_a_refused_number_is_answered_400(sim: Running, client: httpx.Client) -> None:
    """With the field in Seam's error body, and nothing pending."""
    id = _first(sim)
    sim.world.settings.refused_numbers = {"+10005550101"}

    answer = client.patch("/acs/users/update", json={"acs_user_id": id, "phone_number": "+10005550101"})

    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_input")
    assert "phone_number" in answer.json()["error"]["validation_errors"]
    assert _pending(sim.world.user(id)) == []


def test_a_user_is_created_with_an_event_when_it_is_through(sim: Running, client: httpx.Client) -> None:
    """It is there at once, `creating`; the event comes when the access system has it."""
    body = {"acs_system_id": sim.world.acs_system_id, "full_name": " Ada ", "access_schedule": {"ends_at": None}}

    user = client.post("/acs/users/create", json=body).json()["acs_user"]
    before = len(sim.world.events)
    sim.world.drain()

    assert (user["full_name"], _pending(user), before) == ("Ada", ["creating"], 0)
    assert user["access_schedule"]["ends_at"] is None
    assert sim.world.events[-1].body["event_type"] == "acs_user.created"
    assert sim.world.events[-1].body["acs_user_id"] == user["acs_user_id"]


def test_a_user_is_deleted_with_an_event_when_it_is_through(sim: Running, client: httpx.Client) -> None:
    """First `being_deleted` and `deleting`, then 404 and `acs_user.deleted`, once."""
    id = _first(sim)

    client.delete("/acs/users/delete", params={"acs_user_id": id})
    client.post("/acs/users/delete", json={"acs_user_id": id})
    during = sim.world.user(id)
    sim.world.drain()

    assert (_codes(during), _pending(during)) == (["being_deleted"], ["deleting"])
    assert client.get("/acs/users/get", params={"acs_user_id": id}).status_code == 404
    assert [event.body["event_type"] for event in sim.world.events] == ["acs_user.deleted"]


@pytest.mark.parametrize(
    ("what", "code"), [("create", "failed_to_create_on_acs_system"), ("delete", "failed_to_delete_on_acs_system")]
)
def test_creations_and_deletions_can_fail(sim: Running, client: httpx.Client, what: str, code: str) -> None:
    """The user stays, with the error of its kind and nothing pending; no event is sent."""
    sim.world.settings.failures = 1
    id = _first(sim)
    if what == "create":
        body = {"acs_system_id": sim.world.acs_system_id, "full_name": "Ada"}
        id = client.post("/acs/users/create", json=body).json()["acs_user"]["acs_user_id"]
    else:
        client.post("/acs/users/delete", json={"acs_user_id": id})

    sim.world.drain()

    assert (_codes(sim.world.user(id)), _pending(sim.world.user(id))) == ([code], [])
    assert len(sim.world.events) == 0


def test_suspension_is_pending_too(sim: Running, client: httpx.Client) -> None:
    """Suspended only once drained; unsuspended likewise."""
    id = _first(sim)

    client.post("/acs/users/suspend", json={"acs_user_id": id})
    during = sim.world.user(id)
    sim.world.drain()
    suspended = sim.world.user(id)
    client.post("/acs/users/unsuspend", json={"acs_user_id": id})
    sim.world.drain()

    assert (during or {})["is_suspended"] is False
    assert _pending(during) == ["updating_suspension_state"]
    assert (suspended or {})["is_suspended"] is True
    assert sim.world.find_user(id).is_suspended is False


def test_nothing_gets_through_to_a_disconnected_system(sim: Running, client: httpx.Client) -> None:
    """What is pending waits until the system is connected again."""
    id = _first(sim)
    sim.world.disconnect()

    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})
    sim.world.drain()
    waiting = _pending(sim.world.user(id))
    sim.world.connect()
    sim.world.drain()

    assert waiting == ["updating_user_information"]
    assert sim.world.find_user(id).full_name == "Ada"


def test_changes_drain_by_themselves() -> None:
    """Without holding they show after the delay, and the event is sent though nobody asks."""
    with running(seed=1) as sim:
        sim.world.settings.pending_seconds = 0.05
        id = sim.world.create_user(sim.world.acs_system_id, full_name="Ada").acs_user_id

        eventually(lambda: sim.world.events, what="the event")

        assert sim.world.events[-1].body["acs_user_id"] == id
        assert _pending(sim.world.user(id)) == []


def test_the_provider_side_sends_no_event_for_edits_and_issues() -> None:
    """Seam has no event for them: a consumer learns them only by reading again."""
    world = World(users=1)
    id = next(iter(world.users))

    world.edit_at_provider(id, full_name="Ada", access_schedule=Schedule(NOW, None), is_suspended=True)
    world.raise_error(id, "failed_to_update_on_acs_system")
    world.raise_warning(id, "salto_ks_user_not_subscribed")
    user = world.user(id)
    world.clear_issue(id, "failed_to_update_on_acs_system")
    world.delete_externally(id)

    assert len(world.events) == 0
    assert user is not None
    assert (user["full_name"], user["display_name"], user["is_suspended"]) == ("Ada", "Ada", True)
    assert user["salto_ks_metadata"] == {"is_subscribed": False}
    assert _codes(world.user(id)) == ["deleted_externally", "salto_ks_user_not_subscribed"]


def test_only_values_of_the_provider_can_be_edited() -> None:
    """A misspelt field is an error of the test that does it."""
    world = World(users=1)

    with pytest.raises(ValueError, match="cannot edit fullname"):
        world.edit_at_provider(next(iter(world.users)), fullname="Ada")
