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

from console.web import event_pages, health, metrics, overview, queue_pages, settings_page, user_pages
from console.web.guard import HEADERS, KnownHosts, SecurityHeaders
from console.web.rendering import FOLDER, page
from console.web.state import State, close_console, open_console
from seamkeeper.settings import Settings

_READ = ["GET"]  # every page only reads; Starlette answers HEAD with it, and 405 to all other methods

routes = [
    Route("/", overview.overview, methods=_READ),
    Route("/events", event_pages.events, methods=_READ),
    Route("/events/{event_id:path}", event_pages.event, methods=_READ),  # an id may hold a slash
    Route("/users", user_pages.users, methods=_READ),
    Route("/users/{acs_user_id:path}", user_pages.user, methods=_READ),
    Route("/queues", queue_pages.queues, methods=_READ),
    Route("/queues/{queue}/{registry}", queue_pages.registry, methods=_READ),
    Route("/jobs/{job_id}", queue_pages.job, methods=_READ),
    Route("/dead", event_pages.dead, methods=_READ),
    Route("/settings", settings_page.settings, methods=_READ),
    Route("/metrics", metrics.metrics, methods=_READ),
    Route("/livez", health.livez, methods=_READ),
    Route("/readyz", health.readyz, methods=_READ),
    Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static"),
]


def create_app(settings: Settings, *, names: tuple[str, ...] = ()) -> Starlette:
    """The application. `names` may stand in a Host header, beside those of this machine."""
    middleware = [Middleware(SecurityHeaders), Middleware(KnownHosts, names=names)]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[State]:
        console = await run_in_threadpool(open_console, settings)
        yield {"console": console}
        await run_in_threadpool(close_console, console)

    return Starlette(
        routes=routes,
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )


_TITLES = {404: "Not found", 405: "Not possible here", 400: "Not understood"}


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (Starlette calls this for nothing else)
    sentence = error.detail if error.status_code in (400, 404) else "Pages are read with GET."
    if sentence == "Not Found":
        sentence = "There is no page at this address."
    title = _TITLES.get(error.status_code, "Not possible")
    response = page(request, "problem.html", status=error.status_code, title=title, sentence=sentence)
    response.headers.update(error.headers or {})
    return response


def _failed(request: Request, _error: Exception) -> Response:
    """A mistake of ours. This answer is made outside of all middleware, so it brings the headers itself."""
    sentence = "The console made a mistake; its log says which. Nothing was changed."
    response = page(request, "problem.html", status=500, title="That did not work", sentence=sentence)
    response.headers.update(HEADERS)
    return response
