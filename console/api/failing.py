"""What is answered when something cannot be done: always the same envelope, and nothing that a driver said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.web.refusals import envelope

_WORDS = {"Not Found": "There is nothing at this address.", "Method Not Allowed": "This address cannot be asked so."}


async def refused(_request: Request, error: Exception) -> Response:
    """An answer that an operation chose."""
    assert isinstance(error, HTTPException)  # noqa: S101 (asked for nothing else)
    return envelope(error.status_code, _WORDS.get(error.detail, error.detail), headers=error.headers)


async def not_valid(_request: Request, error: Exception) -> Response:
    """Values that do not fit what the operation takes. They are never repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields: dict[str, list[str]] = {}
    for each in error.errors():
        fields.setdefault(_field(each["loc"]), []).append(_sentence(each))
    return invalid(fields)


def invalid(fields: dict[str, list[str]]) -> Response:
    """422 with what is wrong, by field; what is about no single field stands at `body`."""
    named = {name or "body": said for name, said in fields.items()}
    return envelope(422, f"Not valid: {', '.join(named)}.", fields=named)


async def database_away(_request: Request, _error: Exception) -> Response:
    """The driver's words hold values and addresses: they are nobody's business here."""
    return envelope(503, "The database does not answer. Try again; every operation may be repeated.")


async def redis_away(_request: Request, _error: Exception) -> Response:
    return envelope(503, "Redis does not answer. Try again; every operation may be repeated.")


async def mistake(_request: Request, _error: Exception) -> Response:
    """A mistake of ours; the process writes its traceback to the log."""
    return envelope(500, "Seamkeeper made a mistake; the log of the console says which.")


def _field(place: Sequence[Any]) -> str:
    """`users.3.full_name`; for the whole body `body`."""
    names = [str(each) for each in place if not isinstance(each, int) or len(place) > 2]
    return ".".join(names[1:]) or "body"


def _sentence(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is not known here"
    text = str(error["msg"]).removeprefix("Value error, ")
    return "is missing" if error["type"] == "missing" else text[:1].lower() + text[1:]
