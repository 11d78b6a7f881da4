"""How is a simulated Seam put together?"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from . import api, control
from .alive import live
from .answers import refused
from .courier import Courier
from .refusals import Refusal
from .world import World

TICK = 0.02  # seconds between looks at the pending mutations


def create_app(world: World) -> Starlette:
    """The API of Seam and `/_simulator/…` over one world. While it is served, deliveries are made."""

    async def settle() -> None:
        while True:
            world.settle()
            await asyncio.sleep(TICK)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each) for each in (settle(), Courier(world).run(), live(world))]
        for task in tasks:
            task.add_done_callback(_complain)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def say_no(request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 500
        type = "method_not_allowed" if status == 405 else "unrecognized_path"
        request_id = world.new_request_id()
        response = refused(Refusal(status, type, f"{request.method} {request.url.path}: {type}"), request_id)
        response.headers["seam-request-id"] = request_id
        return response

    async def health(request: Request) -> Response:
        headers = {"seam-request-id": world.new_request_id()}
        return JSONResponse({"ok": True, "service_name": "simulator"}, headers=headers)

    routes = [
        *api.routes(world),
        Route("/health", health, methods=["GET", "POST"]),
        Mount("/_simulator", routes=control.routes(world)),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: say_no, 405: say_no})


def _complain(task: asyncio.Task[None]) -> None:
    """Say at once when a background task breaks, not when the app ends."""
    if not task.cancelled() and (exc := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "the simulator broke", "exception": exc, "task": task})
