"""How is the simulator steered from outside? `/_simulator/…`, JSON in and out."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .records import Json
from .refusals import Refusal
from .world import World

Act = Callable[..., Any]


def routes(world: World) -> list[Route]:
    """Everything that can be asked or done, as (path, method, function). The functions' arguments are the JSON keys."""
    table: list[tuple[str, str, Act]] = [
        ("/state", "GET", world.summary),
    ]
    return [Route(path, _endpoint(act), methods=[method]) for path, method, act in table]


def _endpoint(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        try:
            given: Json = json.loads(body) if body else dict(request.query_params)
            inspect.signature(act).bind(**given)
            result = act(**given)
        except (TypeError, ValueError, KeyError) as exc:
            return JSONResponse({"ok": False, "message": str(exc)}, status_code=400)
        except Refusal as refusal:
            return JSONResponse({"ok": False, "message": refusal.message}, status_code=refusal.status)
        return JSONResponse({"ok": True, **(result if isinstance(result, dict) else {})})

    return endpoint
