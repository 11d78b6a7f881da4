"""`/livez`: the process answers. `/readyz`: it could take an event now. Seam being down never makes it unready."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.state import State


async def live(request: Request) -> Response:
    """200, touching nothing."""
    return Response(status_code=200)


async def ready(request: Request) -> Response:
    """200 or 503; with `?verbose` the checks by name, without any detail that helps a stranger."""
    state: State = request.state.door
    checks = {"redis": await _answers(state.redis), "not_draining": not state.is_draining}
    status = 200 if all(checks.values()) else 503
    if "verbose" in request.query_params:
        return JSONResponse(checks, status_code=status)
    return Response(status_code=status)


async def _answers(redis: Any) -> bool:
    try:
        async with asyncio.timeout(0.3):
            return bool(await redis.ping())
    except (RedisError, OSError, TimeoutError):
        return False
