"""The API misbehaves when told to."""

from __future__ import annotations

import time

import httpx
import pytest

from simulator.faults import Faults
from simulator.serve import Running


@pytest.mark.parametrize("status", [401, 404, 429, 500, 502, 503])
def test_a_status_for_so_many_answers(sim: Running, client: httpx.Client, status: int) -> None:
    """Two answers are refused in Seam's words, the third is proper."""
    sim.world.faults.add(status=status, times=2, retry_after=7)

    answers = [client.get("/acs/users/list") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json()["error"]["request_id"] == answers[0].headers["seam-request-id"]


def test_a_fault_of_one_path_leaves_the_others_alone(sim: Running, client: httpx.Client) -> None:
    """And it stays until it is cleared."""
    sim.world.faults.add(path="/acs/users/get", status=500)

    during = [client.post(path).status_code for path in ("/acs/users/get", "/acs/users/list", "/acs/users/get")]
    sim.world.faults.clear("/acs/users/get")

    assert during == [500, 200, 500]
    assert client.post("/acs/users/get").status_code == 400


def test_pages_of_proxies_and_empty_successes(sim: Running, client: httpx.Client) -> None:
    """502 with HTML, 200 with HTML, 200 without the resource, and 302."""
    sim.world.faults.add("html", times=1)
    sim.world.faults.add("html", status=200, times=1)
    sim.world.faults.add("bare_ok", times=1)
    sim.world.faults.add("redirect", times=1)

    answers = [client.get("/acs/users/list") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [502, 200, 200, 302]
    assert answers[1].headers["content-type"].startswith("text/html")
    assert answers[2].json() == {"ok": True}
    assert [seen.status for seen in sim.world.requests.list()] == [502, 200, 200, 302]


def test_a_dropped_connection_gives_no_answer(sim: Running, client: httpx.Client) -> None:
    """The log shows it with the status 0, and the next request is served."""
    sim.world.faults.add("drop", times=1)

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.get("/acs/users/list")

    assert client.get("/acs/users/list").status_code == 200
    assert [seen.status for seen in sim.world.requests.list()] == [0, 200]


def test_a_late_fault_hides_that_the_request_was_carried_out(sim: Running, client: httpx.Client) -> None:
    """The change is made although the answer is lost: what makes an update ambiguous."""
    id = next(iter(sim.world.users))
    sim.world.faults.add(status=500, times=1, is_late=True)

    answer = client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})
    sim.world.drain()

    assert answer.status_code == 500
    assert sim.world.find_user(id).full_name == "Ada"


def test_an_early_fault_carries_nothing_out(sim: Running, client: httpx.Client) -> None:
    """The user is as before."""
    id = next(iter(sim.world.users))
    sim.world.faults.add(status=500, times=1)

    client.patch("/acs/users/update", json={"acs_user_id": id, "full_name": "Ada"})

    assert sim.world.find_user(id).pending == []


def test_a_slow_answer_is_the_proper_one(sim: Running, client: httpx.Client) -> None:
    """It only takes longer."""
    sim.world.faults.add("slow", seconds=0.2, times=1)

    started = time.monotonic()
    answer = client.get("/acs/users/list")

    assert time.monotonic() - started >= 0.2
    assert len(answer.json()["acs_users"]) == 3


def test_an_outage_is_everywhere_until_it_ends(sim: Running, client: httpx.Client) -> None:
    """503 on every path of the API, before the key is even looked at; `/health` goes on."""
    sim.world.faults.is_outage = True
    during = [client.post(path).status_code for path in ("/acs/users/list", "/events/list", "/webhooks/list")]
    health = client.get("/health").status_code
    sim.world.faults.is_outage = False

    assert (during, health) == ([503, 503, 503], 200)
    assert client.get("/acs/users/list").status_code == 200


def test_a_fault_ends_with_its_time() -> None:
    """After its seconds it is neither taken nor listed."""
    faults = Faults()

    faults.add(for_seconds=0)

    assert faults.take("/acs/users/get") is None
    assert faults.to_json() == []


def test_an_unknown_fault_is_refused() -> None:
    """With the list of those there are."""
    with pytest.raises(ValueError, match="there are status, html"):
        Faults().add("explode")  # type: ignore[arg-type]


def test_an_answer_that_is_cut_off(sim: Running, client: httpx.Client) -> None:
    """Its head promises more than comes; the next request is served."""
    sim.world.faults.add("cut", times=1)

    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/acs/users/list")

    assert client.get("/acs/users/list").status_code == 200


def test_any_answer_can_be_put_into_its_mouth(sim: Running, client: httpx.Client) -> None:
    """Such as an empty page that says there is another."""
    body = {"acs_users": [], "pagination": {"has_next_page": True, "next_page_cursor": "c"}}
    sim.world.faults.add("json", body=body, times=1)

    assert client.get("/acs/users/list").json() == body
    assert client.get("/acs/users/list").json() != body


def test_a_fault_of_one_access_system(sim: Running, client: httpx.Client) -> None:
    """Its users and its list meet it; another system's do not."""
    broken = sim.world.add_system("Broken House")
    users = [sim.world.add_user(acs_system_id=broken), sim.world.add_user()]
    sim.world.faults.add(acs_system_id=broken)

    of_users = [client.get("/acs/users/get", params={"acs_user_id": user}).status_code for user in users]
    of_lists = [
        client.get("/acs/users/list", params={"acs_system_id": system}).status_code
        for system in (broken, sim.world.acs_system_id)
    ]

    assert (of_users, of_lists) == ([503, 200], [503, 200])
