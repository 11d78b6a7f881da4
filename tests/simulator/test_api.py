"""Seam's API as the simulator answers it: keys, selectors, parameters, pages, webhooks."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from simulator.clock import in_microseconds
from simulator.serve import Running
from simulator.world import World

UNKNOWN = str(uuid.UUID(int=1, version=4))


def _first(world: World) -> str:
    return next(iter(world.users))


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer seam_other"}, {"authorization": "Bearer seam_at_simulator_token"}],
    ids=["no key", "another key", "a personal token without its workspace"],
)
def test_without_the_key_it_is_401(sim: Running, headers: dict[str, str]) -> None:
    """Seam's error body comes back, with the request id also in a header."""
    answer = httpx.get(f"{sim.url}/acs/users/list", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["ok"] is False
    assert answer.json()["error"]["type"] == "unauthorized"
    assert answer.json()["error"]["request_id"] == answer.headers["seam-request-id"]


def test_a_personal_token_opens_its_workspace(sim: Running) -> None:
    """The token counts together with the header that names the workspace."""
    headers = {
        "authorization": f"Bearer {sim.world.personal_access_token}",
        "seam-workspace": sim.world.workspace_id,
    }

    answer = httpx.get(f"{sim.url}/workspaces/get", headers=headers)

    assert answer.json()["workspace"]["workspace_id"] == sim.world.workspace_id


@pytest.mark.parametrize("path", ["/acs/users/get", "/acs/users/list", "/workspaces/get", "/nowhere"])
def test_every_answer_has_a_request_id(client: httpx.Client, path: str) -> None:
    """Also the refusals, and the paths that do not exist."""
    answer = client.get(path)

    assert uuid.UUID(answer.headers["seam-request-id"]).version == 4


def test_unknown_paths_and_verbs_are_refused_in_seams_words(client: httpx.Client) -> None:
    """404 and 405 have the error body too."""
    assert client.get("/nowhere").status_code == 404
    assert client.put("/acs/users/get").status_code == 405
    assert client.put("/acs/users/get").json()["ok"] is False


@pytest.mark.parametrize("path", ["get", "update", "delete", "suspend", "unsuspend"])
@pytest.mark.parametrize("names", [(), ("acs_system_id",), ("user_identity_id",), ("acs_user_id", "acs_system_id")])
def test_a_user_is_selected_in_exactly_one_way(client: httpx.Client, path: str, names: tuple[str, ...]) -> None:
    """Either acs_user_id, or user_identity_id with acs_system_id; all else is 400."""
    answer = client.post(f"/acs/users/{path}", json=dict.fromkeys(names, UNKNOWN))

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_input"
    assert "Must specify either acs_user_id" in answer.json()["error"]["message"]


def test_a_user_is_found_by_identity_and_system(sim: Running, client: httpx.Client) -> None:
    """The second way gives the same user as the first."""
    identity = sim.world.new_identity(email_address="ada@example.com")
    id = sim.world.add_user(identity=identity)
    selector = {"user_identity_id": identity.user_identity_id, "acs_system_id": sim.world.acs_system_id}

    answer = client.get("/acs/users/get", params=selector)

    assert answer.json()["acs_user"] == sim.world.user(id)
    assert client.get("/acs/users/get", params={**selector, "user_identity_id": UNKNOWN}).status_code == 404


@pytest.mark.parametrize(
    ("path", "params", "type"),
    [
        ("/acs/users/get", {"acs_user_id": UNKNOWN}, "acs_user_not_found"),
        ("/acs/systems/get", {"acs_system_id": UNKNOWN}, "acs_system_not_found"),
        ("/acs/credentials/get", {"acs_credential_id": UNKNOWN}, "acs_credential_not_found"),
        ("/webhooks/get", {"webhook_id": UNKNOWN}, "webhook_not_found"),
        ("/events/get", {"event_id": UNKNOWN}, "event_not_found"),
    ],
    ids=lambda each: each if isinstance(each, str) and "/" in each else "",
)
def test_what_is_not_there_is_404(client: httpx.Client, path: str, params: dict[str, str], type: str) -> None:
    """The type of the error says what was looked for."""
    answer = client.get(path, params=params)

    assert (answer.status_code, answer.json()["error"]["type"]) == (404, type)


DAY = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"full_name": ""}, "full_name"),
        ({"full_name": "   "}, "full_name"),
        ({"full_name": None}, "full_name"),
        ({"full_name": 5}, "full_name"),
        ({"email_address": "nobody"}, "email_address"),
        ({"email_address": None}, "email_address"),
        ({"phone_number": None}, "phone_number"),
        ({"hid_acs_system_id": "x"}, "hid_acs_system_id"),
        ({"access_schedule": {}}, "access_schedule"),
        ({"access_schedule": {"starts_at": DAY["starts_at"]}}, "access_schedule"),
        ({"access_schedule": {**DAY, "ends_at": None}}, "access_schedule"),
        ({"access_schedule": {**DAY, "ends_at": DAY["starts_at"]}}, "access_schedule"),
        ({"access_schedule": {**DAY, "ends_at": "tomorrow"}}, "access_schedule"),
        ({"access_schedule": "always"}, "access_schedule"),
    ],
    ids=str,
)
def test_update_refuses_wrong_values(sim: Running, client: httpx.Client, changes: dict[str, Any], field: str) -> None:
    """400 names the field, and nothing becomes pending."""
    id = _first(sim.world)

    answer = client.patch("/acs/users/update", json={"acs_user_id": id, **changes})

    assert answer.status_code == 400
    assert answer.json()["error"]["validation_errors"][field]["_errors"]
    assert sim.world.find_user(id).pending == []


def test_unknown_parameters_are_refused(sim: Running, client: httpx.Client) -> None:
    """A misspelt field does not pass for success."""
    answer = client.patch("/acs/users/update", json={"acs_user_id": _first(sim.world), "fullname": "Ada"})

    assert answer.status_code == 400
    assert answer.json()["error"]["validation_errors"]["_errors"] == ["Unrecognized key(s) in object: 'fullname'"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_400(client: httpx.Client, body: bytes) -> None:
    """Also when it is no JSON at all."""
    assert client.post("/acs/users/get", content=body).status_code == 400


def test_pages_follow_each_other(sim: Running, client: httpx.Client) -> None:
    """Every user comes once, in order; the last page has neither cursor nor address."""
    for _ in range(4):
        sim.world.add_user()
    params: dict[str, Any] = {"limit": 3, "acs_system_id": sim.world.acs_system_id}

    sizes: list[int] = []
    ids: list[str] = []
    cursor: str | None = None
    while cursor is not None or not sizes:
        page = client.get("/acs/users/list", params={**params, **({"page_cursor": cursor} if cursor else {})}).json()
        ids += [user["acs_user_id"] for user in page["acs_users"]]
        sizes.append(len(page["acs_users"]))
        cursor = page["pagination"]["next_page_cursor"]

    assert sizes == [3, 3, 1]
    assert ids == list(sim.world.users)
    assert page["pagination"] == {"has_next_page": False, "next_page_cursor": None, "next_page_url": None}


def test_the_address_of_the_next_page_works(client: httpx.Client) -> None:
    """It holds all parameters."""
    first = client.get("/acs/users/list", params={"limit": 2, "search": "@example"}).json()

    second = client.get(first["pagination"]["next_page_url"]).json()

    assert [len(first["acs_users"]), len(second["acs_users"])] == [2, 1]


@pytest.mark.parametrize("other", [{"limit": 1}, {"limit": 2, "search": "a"}], ids=str)
def test_a_cursor_belongs_to_its_parameters(client: httpx.Client, other: dict[str, Any]) -> None:
    """With others it is 400, as is a cursor that Seam did not make."""
    cursor = client.get("/acs/users/list", params={"limit": 2}).json()["pagination"]["next_page_cursor"]

    assert client.get("/acs/users/list", params={"limit": 2, "page_cursor": cursor}).status_code == 200
    assert client.get("/acs/users/list", params={**other, "page_cursor": cursor}).status_code == 400
    assert client.get("/acs/users/list", params={"limit": 2, "page_cursor": "x"}).status_code == 400


def test_a_page_survives_a_deletion(sim: Running, client: httpx.Client) -> None:
    """A cursor goes on after the last user seen, even if that user is gone."""
    ids = list(sim.world.users)
    cursor = client.get("/acs/users/list", params={"limit": 2}).json()["pagination"]["next_page_cursor"]

    sim.world.delete_at_provider(ids[1])
    page = client.get("/acs/users/list", params={"limit": 2, "page_cursor": cursor}).json()

    assert [user["acs_user_id"] for user in page["acs_users"]] == [ids[2]]


def test_lists_are_filtered(sim: Running, client: httpx.Client) -> None:
    """By system, identity, its address or its lack of one, time of creation, and search."""
    world = sim.world
    elsewhere = world.add_user(acs_system_id=world.add_system("Mill House"))
    identity = world.new_identity(email_address="ada@example.com", phone_number="+12125550100")
    ada = world.add_user(full_name="Ada Unique", identity=identity)
    bare = world.add_user(identity=world.new_identity())

    def found(**params: str) -> list[str]:
        users = client.get("/acs/users/list", params=params).json()["acs_users"]
        return [user["acs_user_id"] for user in users]

    assert found(acs_system_id=world.find_user(elsewhere).acs_system_id) == [elsewhere]
    assert found(user_identity_id=identity.user_identity_id) == [ada]
    assert found(user_identity_email_address="ada@example.com") == [ada]
    assert found(user_identity_phone_number="+12125550100") == [ada]
    assert bare in found(user_identity_email_address="")
    assert ada not in found(user_identity_email_address="")
    assert found(search="uniq") == [ada]
    assert found(search=elsewhere[:13]) == [elsewhere]
    before = in_microseconds(world.find_user(elsewhere).created_at)
    assert found(created_before=before) == [id for id in world.users if id not in (elsewhere, ada, bare)]


def test_a_credential_leads_to_its_user(sim: Running, client: httpx.Client) -> None:
    """The event does not say whose key it is; the credential does, until it is deleted."""
    credential = sim.world.issue_credential(_first(sim.world))
    params = {"acs_credential_id": credential}

    assert client.get("/acs/credentials/get", params=params).json()["acs_credential"]["acs_user_id"] == _first(
        sim.world
    )
    assert "acs_user_id" not in sim.world.events[-1].body
    sim.world.delete_credential(credential)
    assert client.get("/acs/credentials/get", params=params).status_code == 404


def test_webhooks_are_registered_read_changed_and_removed(sim: Running, client: httpx.Client) -> None:
    """A new one gets its own secret, and every event unless it asks for some."""
    made = client.post("/webhooks/create", json={"url": "https://example.com/hook"}).json()["webhook"]
    id = {"webhook_id": made["webhook_id"]}

    assert made["secret"].startswith("whsec_")
    assert made["event_types"] == ["*"]
    assert client.get("/webhooks/get", params=id).json()["webhook"] == made
    assert client.put("/webhooks/update", json={**id, "event_types": ["acs_user.deleted"]}).json() == {"ok": True}
    assert client.get("/webhooks/list").json()["webhooks"][0]["event_types"] == ["acs_user.deleted"]
    assert client.delete("/webhooks/delete", params=id).json() == {"ok": True}
    assert sim.world.webhooks == {}
    assert client.post("/webhooks/create", json={"url": "nowhere"}).status_code == 400


def test_requests_are_logged(sim: Running, client: httpx.Client) -> None:
    """Verb, path, parameters and status of each, so that a test can say that no call was made."""
    client.get("/acs/users/get", params={"acs_user_id": UNKNOWN})
    client.patch("/acs/users/update", json={"acs_user_id": _first(sim.world), "full_name": "Ada"})

    seen = [(each.method, each.path, each.params, each.status) for each in sim.world.requests.list()]
    assert seen == [
        ("GET", "/acs/users/get", {"acs_user_id": UNKNOWN}, 404),
        ("PATCH", "/acs/users/update", {"acs_user_id": _first(sim.world), "full_name": "Ada"}, 200),
    ]
    assert sim.world.requests.list("/acs/users/delete") == []
