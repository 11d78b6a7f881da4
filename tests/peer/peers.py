"""The peers as processes: Seam's own fake of its API, and Svix's own signer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import SECRET
from tests.stack import eventually, free_port

HERE = Path(__file__).parent
API_KEY = "seam_apikey1_token"
WORKSPACE = "seed_workspace_1"
SYSTEM = "visionline_acs_system_1"


@dataclass(frozen=True, slots=True)
class Fake:
    """Seam's fake: what others do to its users, and how they stand there. The product's calls do not come this way."""

    url: str
    client: httpx.Client

    def create_user(self, **fields: Any) -> str:
        """A new user of the access system; gives the acs_user_id (`acs_user1`, …: not a UUID)."""
        answer = self._post("/acs/users/create", {"acs_system_id": SYSTEM, **fields})
        return str(answer["acs_user"]["acs_user_id"])

    def edit_user(self, acs_user_id: str, **fields: Any) -> None:
        """A change behind our back; the fake sends no event for it, as Seam does not."""
        self._post("/acs/users/update", {"acs_user_id": acs_user_id, **fields})

    def delete_user(self, acs_user_id: str) -> None:
        """Gone at once."""
        self._post("/acs/users/delete", {"acs_user_id": acs_user_id})

    def user(self, acs_user_id: str) -> dict[str, Any]:
        """The user as the fake has them now."""
        answer = self.client.get("/acs/users/get", params={"acs_user_id": acs_user_id}).raise_for_status()
        found: dict[str, Any] = answer.json()["acs_user"]
        return found

    def user_ids(self) -> set[str]:
        """All users of the access system."""
        answer = self.client.get("/acs/users/list", params={"acs_system_id": SYSTEM}).raise_for_status()
        return {user["acs_user_id"] for user in answer.json()["acs_users"]}

    @contextmanager
    def outage(self, *routes: str) -> Iterator[None]:
        """These routes answer 503 with an empty body. Its API has no way to end that but an outage of no route."""
        self._post("/_fake/simulate_workspace_outage", {"workspace_id": WORKSPACE, "routes": routes})
        try:
            yield
        finally:
            self._post("/_fake/simulate_workspace_outage", {"workspace_id": WORKSPACE, "routes": []})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text[:300]}"
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True, slots=True)
class Signer:
    """`sign.mjs`, kept running: a line in, a line out."""

    process: subprocess.Popen[str]

    def headers(self, body: str, *, secret: str = SECRET) -> dict[str, str]:
        """The `svix-*` headers of a delivery of this body, made now."""
        line = {"secret": secret, "id": f"msg_{uuid.uuid4().hex}", "timestamp": int(time.time()), "body": body}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        headers: dict[str, str] = json.loads(self.process.stdout.readline())
        return headers


@contextmanager
def fake_seam(log: Path) -> Iterator[Fake]:
    """The fake with its seed, on a port of its own; it lives in memory and ends with the block."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = HERE / "node_modules/@seamapi/fake-seam-connect/dist/server.js"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_node(), str(server), "--seed"], env={**os.environ, "PORT": str(port)}, stdout=output, stderr=output
        )
    try:
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {API_KEY}"}, trust_env=False) as client:
            eventually(lambda: _is_healthy(client, process), what="the fake")
            yield Fake(url, client)
    finally:
        _end(process)


@contextmanager
def svix_signer() -> Iterator[Signer]:
    """The signer, until the end of the block."""
    with subprocess.Popen(
        [_node(), str(HERE / "sign.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            yield Signer(process)
        finally:
            _end(process)


def _node() -> str:
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").is_dir():
        pytest.fail("The peers are not there: install Node 18.12 or newer, then run `make test-peer`.", pytrace=False)
    return node


def _is_healthy(client: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the fake ended with {process.returncode}"
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
