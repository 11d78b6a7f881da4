"""The console, put together: what it opens, who may ask, which page answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.api.app import PATH as API
from console.api.app import create_api
from console.web import (
    dead_pages,
    event_pages,
    health,
    live,
    metrics,
    one_event,
    overview,
    preferences,
    queue_pages,
    replay_pages,
    settings_page,
    user_pages,
)
from console.web.access import Access, needs_login
from console.web.csrf import OwnPagesOnly
from console.web.guard import HEADERS, KnownHosts, SecurityHeaders
from console.web.rendering import FOLDER, page
from console.web.state import State, close_console, open_console
from seamkeeper.settings import Settings

# Each page's module lists its pages (GET, which changes nothing) and its actions (POST below the page's path).
routes = [
    *overview.routes,
    *event_pages.routes,
    *one_event.routes,
    *dead_pages.routes,
    *replay_pages.routes,
    *live.routes,
    *user_pages.routes,
    *queue_pages.routes,
    *settings_page.routes,
    *preferences.routes,
    Route("/metrics", metrics.metrics, methods=["GET"]),
    Route("/livez", health.livez, methods=["GET"]),
    Route("/readyz", health.readyz, methods=["GET"]),
    Mount(API, create_api(), name="api"),
    Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static"),
]


def create_app(settings: Settings, *, names: tuple[str, ...] = ()) -> Starlette:
    """The application. `names` may stand in a Host header, beside those of this machine; with a login any may: a
    browser brings a login to its own host only."""
    middleware = [Middleware(SecurityHeaders)]
    if not needs_login(settings):
        middleware.append(Middleware(KnownHosts, names=names))
    middleware += [Middleware(Access, settings=settings), Middleware(OwnPagesOnly)]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[State]:
        console = await run_in_threadpool(open_console, settings)
        tail = live.Tail(console)
        yield {"console": console, "live": tail}
        await tail.close()
        await run_in_threadpool(close_console, console)

    return Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


_TITLES = {
    400: "Not understood", 403: "Not for your role", 404: "Not found", 405: "Not possible here", 413: "Too long",
    503: "That did not work",
}  # fmt: skip


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (Starlette calls this for nothing else)
    sentence = "This address cannot be asked so." if error.status_code == 405 else error.detail
    if sentence == "Not Found":
        sentence = "There is no page at this address."
    title = _TITLES.get(error.status_code, "Not possible")
    response = page(request, "problem.html", status=error.status_code, title=title, sentence=sentence)
    response.headers.update(error.headers or {})
    return response


def _failed(request: Request, _error: Exception) -> Response:
    """A mistake of ours. This answer is made outside of all middleware, so it brings the headers itself."""
    sentence = "The console made a mistake; its log says which. If you asked for something, look whether it was done."
    response = page(request, "problem.html", status=500, title="That did not work", sentence=sentence)
    response.headers.update(HEADERS)
    return response
