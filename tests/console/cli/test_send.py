"""`seamkeeper send`: a signed event as Seam would send it, and what the receiver says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from svix.webhooks import Webhook, WebhookVerificationError

from tests.conftest import SECRET

from .conftest import Said, Seamkeeper

TOLD = {"SEAM_WEBHOOK_SECRET": SECRET}


class Door:
    """A receiver that answers what the test wants and keeps what it got."""

    def __init__(self) -> None:
        self.status = 204
        self.url = ""
        self.got: list[tuple[dict[str, str], bytes]] = []

    def verified(self) -> bool:
        """True when Svix's own library believes every request."""
        try:
            for headers, body in self.got:
                Webhook(SECRET).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True


class _Server(HTTPServer):
    door: Door


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.door.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.door.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def door() -> Iterator[Door]:
    """Listens as long as the test runs."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.door = Door()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        server.door.url = f"http://127.0.0.1:{server.server_port}/webhooks/seam"
        yield server.door
        server.shutdown()
        thread.join()


@pytest.fixture
def send(seamkeeper_anywhere: Seamkeeper, door: Door) -> Seamkeeper:
    """`seamkeeper send … --to` that door."""

    def run(*arguments: str, **environ: str) -> Said:
        return seamkeeper_anywhere("send", *arguments, "--to", door.url, **{**TOLD, **environ})

    return run


def test_a_good_event(send: Seamkeeper, door: Door) -> None:
    """Svix believes it, the fields are ours, and status and id are on stdout."""
    said = send("acs_user.created", "--set", "acs_user_id=u1", "--set", "note=a=b")

    event = json.loads(door.got[0][1])
    assert door.verified()
    assert (said.code, said.out) == (0, f"204 {event['event_id']}\n")
    assert (event["event_type"], event["acs_user_id"], event["note"]) == ("acs_user.created", "u1", "a=b")


def test_for_programs(send: Seamkeeper, door: Door) -> None:
    """One JSON value."""
    said = send("acs_system.connected", "--duplicate", "--json")

    assert said.json == {"event_id": json.loads(door.got[0][1])["event_id"], "statuses": [204, 204]}


def test_a_duplicate(send: Seamkeeper, door: Door) -> None:
    """The same bytes under the same svix-id, twice."""
    said = send("acs_user.created", "--duplicate")

    assert said.out.startswith("204 204 ")
    first, second = door.got
    assert first[1] == second[1]
    assert first[0]["svix-id"] == second[0]["svix-id"]


def test_a_bad_signature(send: Seamkeeper, door: Door) -> None:
    """Nobody believes it; that the receiver refuses it is exit 1, with a word on what to look at."""
    door.status = 401

    said = send("acs_user.created", "--bad-signature")

    assert not door.verified()
    assert said.code == 1
    assert said.out.startswith("401 ")
    assert "SEAM_WEBHOOK_SECRET" in said.err


def test_a_receiver_without_redis(send: Seamkeeper, door: Door) -> None:
    """Exit 1: it was refused, and Redis is named."""
    door.status = 503

    said = send("acs_user.created")

    assert said.code == 1
    assert "Redis" in said.err


def test_a_body_of_ones_own(send: Seamkeeper, door: Door, tmp_path: Path) -> None:
    """Byte for byte, signed; without an event_id there is none to tell."""
    file = tmp_path / "body.json"
    file.write_bytes('{"name": "Jörg"}\r\n'.encode())

    said = send("--data", str(file))

    assert door.got[0][1] == file.read_bytes()
    assert door.verified()
    assert said.out == "204 -\n"


def test_a_secret_in_a_file(send: Seamkeeper, door: Door, tmp_path: Path) -> None:
    """Instead of the environment's; of several the first one signs."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET},whsec_{'A' * 43}=\n")

    said = send("acs_user.created", "--secret-file", str(file), SEAM_WEBHOOK_SECRET="")

    assert said.code == 0
    assert door.verified()


def test_a_proxy_is_for_the_world_outside(send: Seamkeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver of this machine is called directly."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert send("acs_user.created").code == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/webhooks/seam", "http://[::1]:1/"])
def test_a_receiver_that_is_down(seamkeeper_anywhere: Seamkeeper, url: str) -> None:
    """Exit 5, with its address."""
    said = seamkeeper_anywhere("send", "acs_user.created", "--to", url, **TOLD)

    assert (said.code, said.out) == (5, "")
    assert url in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "EVENT_TYPE", id="nothing"),
        pytest.param(["acs_user.created", "--data", __file__], "either EVENT_TYPE", id="both"),
        pytest.param(["--data", __file__, "--set", "a=b"], "either EVENT_TYPE", id="set-in-a-body"),
        pytest.param(["acs_user.created", "--set", "a"], "FIELD=VALUE", id="no-value"),
        pytest.param(["acs_user.created", "--set", "=a"], "FIELD=VALUE", id="no-field"),
        pytest.param(["acs_user.created", "--to", "ftp://x/"], "--to ftp://x/", id="scheme"),
        pytest.param(["acs_user.created", "--to", "http://x:port/"], "--to http://x:port/", id="port"),
        pytest.param(["acs_user.created", "--secret-file", __file__], "whsec_", id="no-secret"),
    ],
)
def test_what_cannot_be_meant(seamkeeper_anywhere: Seamkeeper, arguments: list[str], words: str) -> None:
    """Exit 2, with the reason."""
    said = seamkeeper_anywhere("send", *arguments, **TOLD)

    assert said.code == 2
    assert words in said.err


def test_without_a_secret(seamkeeper_anywhere: Seamkeeper) -> None:
    """Exit 2: the variable is named."""
    said = seamkeeper_anywhere("send", "acs_user.created")

    assert said.code == 2
    assert "SEAM_WEBHOOK_SECRET is not set" in said.err


def test_a_body_that_is_no_text(send: Seamkeeper, tmp_path: Path) -> None:
    """Exit 2: what is signed is text."""
    file = tmp_path / "body"
    file.write_bytes(b"\xff")

    assert send("--data", str(file)).code == 2
