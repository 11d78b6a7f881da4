"""How a person wants times written: a cookie of theirs, nothing of ours."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

TIMES = ("relative", "utc", "local")  # local: by the script; without it UTC is shown
_COOKIE = "seamkeeper_times"
_YEAR = 31_536_000


def times_of(request: Request) -> str:
    """`relative` (12 s ago), `utc` or `local`."""
    found = request.cookies.get(_COOKIE, "")
    return found if found in TIMES else TIMES[0]


async def choose(request: Request) -> Response:
    """POST /preferences?times=utc, then back to where it was pressed."""
    response = RedirectResponse(_back(request), status_code=303)
    chosen = request.query_params.get("times", "")
    if chosen in TIMES:
        is_secure = request.url.scheme == "https"
        response.set_cookie(_COOKIE, chosen, max_age=_YEAR, httponly=True, samesite="strict", secure=is_secure)
    return response


def _back(request: Request) -> str:
    """The page it was pressed on; never an address that begins with `//`, which would be another host's."""
    try:
        came_from = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    if came_from.netloc != request.headers.get("host") or not came_from.path.startswith("/"):
        return "/"
    return "/" + came_from.path.lstrip("/") + (f"?{came_from.query}" if came_from.query else "")


routes = [Route("/preferences", choose, methods=["POST"])]
