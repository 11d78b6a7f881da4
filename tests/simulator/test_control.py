"""The simulator is steered over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator import control
from simulator.serve import Running
from simulator.world import World

from .conftest import NO_TLS, Receiver

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "simulator.md"


def _post(sim: Running, path: str, /, **body: Any) -> dict[str, Any]:
    answer = httpx.post(f"{sim.url}/_simulator{path}", json=body, verify=NO_TLS)
    assert answer.status_code == 200, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


def _get(sim: Running, path: str, /, **params: str) -> dict[str, Any]:
    parsed: dict[str, Any] = httpx.get(f"{sim.url}/_simulator{path}", params=params, verify=NO_TLS).json()
    return parsed


def test_users_are_added_edited_troubled_and_deleted(sim: Running) -> None:
    """Everything that can happen at the provider, with its events."""
    id = _post(sim, "/users/add", full_name="Ada", announce=True)["acs_user_id"]
    _post(sim, "/users/edit", acs_user_id=id, full_name="Ada L.", issue_credential=True)
    _post(sim, "/users/edit", acs_user_id=id, access_schedule={"starts_at": "2026-01-01T00:00:00Z", "ends_at": None})
    _post(sim, "/users/error", acs_user_id=id, code="failed_to_update_on_acs_system")
    _post(sim, "/users/warning", acs_user_id=id, code="acs_user_inactive", message="Away")
    user = next(user for user in _get(sim, "/users")["users"] if user["acs_user_id"] == id)
    _post(sim, "/users/clear", acs_user_id=id)
    _post(sim, "/users/delete", acs_user_id=id, externally=True)
    kept = sim.world.user(id)
    _post(sim, "/users/delete", acs_user_id=id)

    assert user["full_name"] == "Ada L."
    assert user["access_schedule"]["ends_at"] is None
    assert [each["error_code"] for each in user["errors"]] == ["failed_to_update_on_acs_system"]
    assert [each["message"] for each in user["warnings"]] == ["Away"]
    assert [each["error_code"] for each in (kept or {})["errors"]] == ["deleted_externally"]
    assert sim.world.user(id) is None
    types = [event.body["event_type"] for event in sim.world.events]
    assert types == ["acs_user.created", "acs_credential.issued", "acs_user.deleted"]


def test_systems_credentials_and_any_event(sim: Running) -> None:
    """Also types that Seam does not know yet."""
    id = next(iter(sim.world.users))
    _post(sim, "/systems/disconnect")
    _post(sim, "/systems/connect", acs_system_id=sim.world.acs_system_id)
    credential = _post(sim, "/credentials/issue", acs_user_id=id)["acs_credential_id"]
    _post(sim, "/credentials/delete", acs_credential_id=credential)
    event = _post(sim, "/events/emit", event_type="acs_user.moved", acs_user_id=id)["event"]

    assert event["acs_user_id"] == id
    assert [event.body["event_type"] for event in sim.world.events] == [
        "acs_system.disconnected",
        "acs_system.connected",
        "acs_credential.issued",
        "acs_credential.deleted",
        "acs_user.moved",
    ]


def test_faults_and_outages(sim: Running, client: httpx.Client) -> None:
    """Set, listed, cleared; the log of requests tells what was answered."""
    _post(sim, "/faults/add", kind="status", status=429, retry_after=3, path="/acs/users/list")
    faults = _get(sim, "/faults")["faults"]
    first = client.get("/acs/users/list").status_code
    _post(sim, "/faults/clear")
    _post(sim, "/outage", on=True)
    second = client.get("/acs/users/list").status_code
    _post(sim, "/outage", on=False)
    third = client.get("/acs/users/list").status_code

    assert [(fault["kind"], fault["status"]) for fault in faults] == [("status", 429)]
    assert [first, second, third] == [429, 503, 200]
    assert [each["status"] for each in _get(sim, "/requests", path="/acs/users/list")["requests"]] == [429, 503, 200]
    _post(sim, "/requests/clear")
    assert _get(sim, "/requests")["requests"] == []


def test_mutations_are_held_and_drained(sim: Running) -> None:
    """Their settings can be read and changed one by one."""
    id = next(iter(sim.world.users))
    settings = _post(sim, "/mutations/settings", failures=1, ignored_fields=["phone_number"])["settings"]
    sim.world.update_user(sim.world.find_user(id), {"full_name": "Ada"})
    _post(sim, "/mutations/drain")

    assert (settings["failures"], settings["ignored_fields"], settings["is_holding"]) == (1, ["phone_number"], True)
    assert sim.world.find_user(id).has("failed_to_update_on_acs_system")


def test_deliveries_are_listed_and_resent(sim: Running, receiver: Receiver) -> None:
    """With every attempt, and the settings that make them misbehave."""
    sim.world.add_webhook(receiver.url)
    settings = _post(sim, "/deliveries/settings", copies=2, brand="webhook")["settings"]
    event = sim.world.emit("acs_user.created")
    receiver.wait_for(2)
    assert sim.world.outbox.wait_until_idle()
    resent = _post(sim, "/deliveries/resend", id=event["event_id"])["resent"]
    receiver.wait_for(3)
    assert sim.world.outbox.wait_until_idle()

    listed = _get(sim, "/deliveries", id=event["event_id"])
    assert (settings["copies"], settings["brand"], resent) == (2, "webhook", 1)
    assert [message["state"] for message in listed["messages"]] == ["delivered"]
    assert [attempt["status"] for attempt in listed["attempts"]] == [204, 204, 204]
    assert _post(sim, "/deliveries/recover")["resent"] == 0


def test_switches(sim: Running) -> None:
    """Speed, life, and a summary that shows them."""
    webhook = sim.world.add_webhook("http://127.0.0.1:9/")
    old = webhook.secret
    _post(sim, "/speed", speed=60)
    _post(sim, "/alive", on=True)
    state = _get(sim, "/state")
    _post(sim, "/alive", on=False)

    assert (state["speed"], state["is_alive"], state["webhooks"]) == (60, True, 1)
    assert _post(sim, "/webhooks/rotate_secret", webhook_id=webhook.webhook_id)["secret"] != old


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/users/edit", {"acs_user_id": "nobody", "full_name": "Ada"}, 404),
        ("/users/error", {"acs_user_id": "nobody"}, 400),
        ("/credentials/delete", {"acs_credential_id": "none"}, 404),
        ("/deliveries/settings", {"copy": 2}, 400),
        ("/deliveries/settings", {"brand": "other"}, 400),
        ("/deliveries/settings", {"copies": 0}, 400),
        ("/deliveries/settings", {"loss": 2}, 400),
        ("/faults/add", {"kind": "explode"}, 400),
        ("/speed", {"speed": 0}, 400),
        ("/alive", [], 400),
    ],
    ids=str,
)
def test_mistakes_are_told(sim: Running, path: str, body: Any, status: int) -> None:
    """With a message; nothing ends in a 500."""
    answer = httpx.post(f"{sim.url}/_simulator{path}", json=body, verify=NO_TLS)

    assert answer.status_code == status
    assert answer.json()["message"]


def test_the_document_names_every_control() -> None:
    """docs/simulator.md leaves none out."""
    text = DOCUMENT.read_text(encoding="utf-8")

    missing = [route.path for route in control.routes(World()) if f"/_simulator{route.path}" not in text]
    assert missing == []
