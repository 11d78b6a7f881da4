"""Is this process alive, and can it read what it shows?"""

from __future__ import annotations

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from console.web.state import Console, console_of, part


def livez(_request: Request) -> Response:
    """GET /livez: the process answers, nothing else is touched."""
    return PlainTextResponse("ok\n")


def readyz(request: Request) -> Response:
    """GET /readyz: 200 when Redis and the database answer, else 503, with which of them does."""
    console = console_of(request)
    answers = {
        "redis": part(lambda: console.redis.ping()).problem is None,
        "database": part(lambda: _ask_database(console)).problem is None,
    }
    return JSONResponse(answers, status_code=200 if all(answers.values()) else 503)


def _ask_database(console: Console) -> None:
    with console.reading() as connection:
        connection.execute(select(1))
