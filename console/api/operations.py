"""One operation: its method, the role it takes, what it gives, and every error it can answer with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request

from console.web.asked import readable
from console.web.people import need
from seamkeeper.settings import Role

ID = r"^[\x21-\x7e]{1,200}$"
AnId = Annotated[str, Field(pattern=ID, description="1 to 200 printable characters, no spaces.")]
Text = Annotated[str, Field(max_length=200), AfterValidator(readable)]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-22T08:30:00.000000Z"])]


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:  # the first day of the calendar, east of Greenwich
        raise ValueError("is beyond the calendar") from None


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc), Field(examples=["2099-12-24T18:00:00Z"])]
Limit = Annotated[int, Field(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Field(max_length=1000, description="`next_cursor` of the page before.")]
NextCursor = Annotated[str | None, Field(description="Ask with it as `cursor` for the next page; null on the last.")]


class Asked(BaseModel):
    """What a request may hold: a name that is not known is a slip, and is told."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(BaseModel):
    """`type` is for programs, `message` for people, `fields` says which values are wrong."""

    type: str = Field(examples=["invalid_input"])
    message: str = Field(examples=["Not valid: phone_number."])
    fields: dict[str, list[str]] | None = Field(
        default=None, examples=[{"phone_number": ["must be in E.164 form, such as +15555550100"]}]
    )


class Error(BaseModel):
    """Every answer of 400 or more."""

    error: ErrorBody


_ERRORS = {
    400: "Asked by a name that is not the console's.",
    401: "No token, or one that is not known.",
    403: "The token's role does not allow it, or a page elsewhere sent this.",
    404: "There is no such thing.",
    405: "The address takes other methods.",
    409: "It stands in another state than that takes.",
    413: "The body is longer than 1 MiB.",
    422: "Values that cannot be taken; `fields` says which.",
    429: "Too many wrong tokens from this address; `Retry-After` says when to try again.",
    500: "A mistake of Seamkeeper's.",
    503: "The database or Redis does not answer.",
}
_OF_ALL, _OF_WRITES = (400, 401, 403, 405, 422, 429, 500, 503), (413,)

Operation = Callable[..., Any]


def read(router: APIRouter, path: str, gives: type[BaseModel], *, misses: bool = False) -> Callable[..., Operation]:
    """GET, for viewers. `misses`: what is asked for may not be there."""
    return router.get(path, response_model=gives, **_terms("viewer", 404 if misses else None))


def write(
    router: APIRouter, method: str, path: str, gives: type[BaseModel], *errors: int, role: Role = "operator",
    status: int = 200, also: dict[int, type[BaseModel]] | None = None,
) -> Callable[..., Operation]:  # fmt: skip
    """POST, PUT or DELETE. `also`: other good answers than `status`."""
    terms = _terms(role, *_OF_WRITES, *errors)
    terms["responses"] |= {other: {"model": model, "description": "Partly"} for other, model in (also or {}).items()}
    return router.api_route(path, methods=[method], response_model=gives, status_code=status, **terms)


def _terms(role: Role, *errors: int | None) -> dict[str, Any]:
    async def allowed(request: Request) -> None:
        need(request, role)

    codes = sorted({*_OF_ALL, *(each for each in errors if each)})
    return {
        "dependencies": [Depends(allowed)],
        "responses": {code: {"model": Error, "description": _ERRORS[code]} for code in codes},
        "openapi_extra": {"x-role": role},
    }
