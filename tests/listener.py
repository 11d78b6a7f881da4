"""A real HTTP server on loopback that keeps what is posted to it, and answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Listener:
    """`heard` is what was posted, read as JSON. `status` is the answer; `pause` an event to wait for before it."""

    address: str
    heard: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    pause: threading.Event | None = None


@contextmanager
def listening() -> Iterator[Listener]:
    """Until the end of the block; `address` is host and port."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if listener.pause is not None:
                listener.pause.wait(60)
            listener.heard.append(json.loads(body))
            self.send_response(listener.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who asked has hung up."""

    with Server(("127.0.0.1", 0), Door) as server:
        listener = Listener(f"127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield listener
        finally:
            if listener.pause is not None:
                listener.pause.set()
            server.shutdown()
