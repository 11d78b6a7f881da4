"""A running simulator, ways to speak with it, and a receiver that keeps what it is sent."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.serve import Running, running

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading the certificates takes longer than most tests
SCHEMA_FILE = Path(__file__).parent.parent / "data" / "seam_schema.json"


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """What Seam publishes about its resources, events and endpoints."""
    loaded: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def sim() -> Iterator[Running]:
    """A simulator with three people, whose changes stay pending until the test drains them."""
    with running(users=3, seed=7) as simulator:
        simulator.world.settings.is_holding = True
        yield simulator


@pytest.fixture
def client(sim: Running) -> Iterator[httpx.Client]:
    """A client with the key; redirects are not followed."""
    key = {"authorization": f"Bearer {sim.api_key}"}
    with httpx.Client(base_url=sim.url, headers=key, trust_env=False, verify=NO_TLS) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as the receiver got it; the names of the headers are in lower case."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class Receiver:
    """An endpoint on a free port. `answer` decides the status (and headers) of the n-th request, from 1."""

    answer: Callable[[int], int] = lambda n: 204
    answer_headers: dict[str, str] = field(default_factory=dict)
    got: list[Delivery] = field(default_factory=list)
    url: str = ""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, delivery: Delivery) -> int:
        with self._changed:
            self.got.append(delivery)
            self._changed.notify_all()
            return self.answer(len(self.got))

    def wait_for(self, number: int, timeout: float = 60.0) -> list[Delivery]:
        """The deliveries, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= number, timeout), f"only {len(self.got)} came"
            return list(self.got)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 204 unless told otherwise."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = kept.take(Delivery({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            for name, value in kept.answer_headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # the simulator hung up first, as it should when an answer takes too long

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/webhooks/seam"
    yield kept
    server.shutdown()
    thread.join()
    server.server_close()
