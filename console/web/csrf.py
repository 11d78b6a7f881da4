"""Did one of our own pages send this? Else a page elsewhere could act with the login that a browser adds by itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from console.web.refusals import refusal

_SAFE = ("GET", "HEAD", "OPTIONS")  # these change nothing here
_REFUSAL = "This was not sent by a page of this console, so nothing was done."


class OwnPagesOnly:
    """Unsafe methods need `Sec-Fetch-Site: same-origin`; of browsers too old for it, an `Origin` that is this host.

    A program with a token has no such headers and needs none: no browser adds a token by itself. Without a login
    (loopback) the JSON API is open to programs of this machine, which send neither header.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in _SAFE and not _is_ours(scope):
            await refusal(scope["path"], _REFUSAL, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_ours(scope: Scope) -> bool:
    headers, person = Headers(scope=scope), scope.get("state", {}).get("person")
    if person is not None and person.by == "token":
        return True
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site == "same-origin"
    if origin is not None:
        return _host_of(origin) == headers.get("host")
    return person is not None and person.by == "machine" and str(scope["path"]).startswith("/api/")


def _host_of(origin: str) -> str:
    """`null`, and what is no origin at all, is nobody's."""
    try:
        return urlsplit(origin).netloc or "nobody's"
    except ValueError:
        return "nobody's"
