"""Which calls did the product make? A proxy between it and Seam's fake, which keeps no log of its requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "host", "date"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its arguments (query or JSON body) and how the fake answered."""

    method: str
    path: str
    arguments: dict[str, Any]
    status: int


@dataclass(frozen=True, slots=True)
class Recorder:
    """The proxy's address, and what went through it."""

    url: str
    calls: list[Call] = field(default_factory=list)

    def to(self, path: str) -> list[Call]:
        """The calls to one path, in the order in which they were answered."""
        return [call for call in list(self.calls) if call.path == path]


@contextmanager
def recorder(target: str) -> Iterator[Recorder]:
    """A proxy to `target`, in threads of this process; it changes nothing on the way."""
    with httpx.Client(base_url=target, trust_env=False, timeout=30) as client:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        found = Recorder(f"http://127.0.0.1:{server.server_port}")
        server.client, server.recorder = client, found  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        answer = self.server.client.request(self.command, self.path, content=body, headers=headers)  # type: ignore[attr-defined]
        address = urlsplit(self.path)
        arguments = json.loads(body) if body else dict(parse_qsl(address.query))
        self.server.recorder.calls.append(  # type: ignore[attr-defined]
            Call(self.command, address.path, arguments, answer.status_code)
        )
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass_on

    def log_message(self, *_arguments: Any) -> None:
        """Silent."""
