"""The sender: signed requests made beforehand, so that what is measured is the receiver."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import uvloop
from standardwebhooks import Webhook


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of one contender gave: answers a second, and latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


def make_requests(count: int, *, secret: str, size: int = 600) -> list[bytes]:
    """HTTP requests with a signed event each, about `size` bytes of body, no two alike. Good for five minutes."""
    webhook, at = Webhook(secret), datetime.now(UTC)
    return [_request(webhook, at, size) for _ in range(count)]


def send(port: int, requests: list[bytes], *, connections: int) -> Round:
    """Sends them all over so many connections, each waiting for its answer. Raises when one is not 2xx."""
    return uvloop.run(_send(port, requests, connections))


def _request(webhook: Webhook, at: datetime, size: int) -> bytes:
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event = {name: str(uuid.uuid4()) for name in ("event_id", "workspace_id", "acs_user_id", "acs_system_id")}
    event |= {"event_type": "acs_user.created", "created_at": stamp, "occurred_at": stamp, "event_description": ""}
    event["event_description"] = "x" * max(0, size - len(json.dumps(event)))
    body, message = json.dumps(event), f"msg_{uuid.uuid4().hex}"
    return (
        "POST /webhooks/seam HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"svix-id: {message}\r\nsvix-timestamp: {int(at.timestamp())}\r\n"
        f"svix-signature: {webhook.sign(message, at, body)}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


class _Connection(asyncio.Protocol):
    """One request after the other, until there is none left."""

    def __init__(self, requests: Iterator[bytes], latencies: list[float], done: asyncio.Future[None]) -> None:
        self._requests, self._latencies, self._done = requests, latencies, done
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._next()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if not self._heard.endswith(b"\r\n\r\n"):  # 204 has no body
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        if not self._heard.startswith(b"HTTP/1.1 2"):
            self._done.set_exception(RuntimeError(f"the answer was {self._heard[:60]!r}"))
            return
        self._heard = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or RuntimeError("the connection was closed"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def _send(port: int, requests: list[bytes], connections: int) -> Round:
    loop, waiting, latencies = asyncio.get_running_loop(), iter(requests), list[float]()
    done = [loop.create_future() for _ in range(connections)]
    started = time.perf_counter()
    for each in done:
        await loop.create_connection(lambda each=each: _Connection(waiting, latencies, each), "127.0.0.1", port)
    await asyncio.gather(*done)
    took = time.perf_counter() - started
    latencies.sort()
    at = [latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99)]
    return Round(len(requests) / took, *at)
