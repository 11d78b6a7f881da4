"""Who may ask, and what a browser may do with the answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.refusals import refusal

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_REFUSAL = (
    "This console answers to the names of this machine only (localhost, 127.0.0.1). "
    "Another name has to be given at the start: --allow-host NAME."
)


class SecurityHeaders:
    """Puts the headers on every answer, those of refused and unknown addresses included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """Refuses a Host that is not ours: else a page elsewhere could point its own name at 127.0.0.1 and read us."""

    def __init__(self, app: ASGIApp, *, names: tuple[str, ...]) -> None:
        self.app, self.names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            await refusal(scope["path"], _REFUSAL, 400)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_known(self, header: str) -> bool:
        name = host_name(header)
        return bool(name) and (name in self.names or is_loopback(name))


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].rstrip(".").lower()


def is_loopback(name: str) -> bool:
    """True for names and addresses that never leave this machine."""
    if name == "localhost" or name.endswith(".localhost"):  # browsers resolve both to loopback (RFC 6761)
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
