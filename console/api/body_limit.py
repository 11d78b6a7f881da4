"""Is a body longer than the API takes?"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.refusals import envelope

LONGEST = 1_048_576  # bytes


class BodyLimit:
    """Reads the body before anybody else does; 413 as soon as there is too much of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        body = None if announced.isdecimal() and int(announced[:12]) > LONGEST else await _read(receive)
        if body is None:
            await envelope(413, f"The body is longer than {LONGEST:,} bytes.")(scope, receive, send)
            return
        given = iter(({"type": "http.request", "body": body, "more_body": False},))

        async def again() -> Message:
            return next(given, None) or await receive()

        await self.app(scope, again, send)


async def _read(receive: Receive) -> bytes | None:
    parts, length, is_more = [], 0, True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":  # whoever asked is gone
            return b""
        parts.append(message.get("body", b""))
        length, is_more = length + len(parts[-1]), message.get("more_body", False)
        if length > LONGEST:
            return None
    return b"".join(parts)
