"""The receiver, put together: routes, what the requests share, and the tasks behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from receiver.health import live, ready
from receiver.intake import Intake
from receiver.keyring import Keyring
from receiver.state import State
from receiver.tally import Tally
from receiver.webhook import receive
from seamkeeper import logs, settings
from seamkeeper.keys import Keys

ROUTES = [
    Route("/webhooks/seam", receive, methods=["POST"]),
    Route("/livez", live, methods=["GET"]),
    Route("/readyz", ready, methods=["GET"]),
    Route("/healthz", ready, methods=["GET"]),
]


def create_app(told: settings.Settings | None = None) -> Starlette:
    """The application; reads the environment unless it is given settings. Raises `ConfigurationError`."""
    told = told or settings.load(need=("SEAM_WEBHOOK_SECRET",))
    logs.configure(told.log_format)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, State]]:
        async with contextlib.AsyncExitStack() as stack:
            state = _open(told)
            stack.push_async_callback(state.redis.aclose)
            stack.push_async_callback(state.tally.write)
            tasks = [asyncio.create_task(state.intake.run()), asyncio.create_task(state.tally.run())]
            for task in tasks:
                stack.callback(task.cancel)
            yield {"door": state}
            state.is_draining = True

    app = Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers={HTTPException: _refuse, 500: _fail})
    app.router.redirect_slashes = False  # a redirect is a failure to Svix, and an answer a stranger need not get
    return app


def _open(told: settings.Settings) -> State:
    """The retries are ours (`Intake`): a library that repeats on its own would outlast the promised two seconds."""
    seconds = told.redis_wait.total_seconds()
    client = redis.asyncio.Redis.from_url(
        told.redis_url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0)
    )
    tally = Tally(client, Keys(told.redis_key_prefix))
    keyring = Keyring(told.webhook_secrets, told.webhook_secret_file)
    return State(told, client, keyring, Intake(client, told), tally)


def _refuse(request: Request, error: Exception) -> Response:
    """404 and 405, without a body."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return Response(status_code=status, headers=getattr(error, "headers", None))


def _fail(request: Request, error: Exception) -> Response:
    """A mistake of ours: nothing was stored, so the sender shall try again. Never another 5xx than 503."""
    return Response(status_code=503, headers={"retry-after": "5"})
