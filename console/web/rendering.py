"""How a page is put together: the template, the frame around it, the status."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from console.web import masking, toast, words
from console.web.people import Person
from console.web.preferences import TIMES, times_of
from console.web.state import Part, console_of, part
from seamkeeper import clock, dead
from seamkeeper.settings import Settings

FOLDER = Path(__file__).parent
_LIVE_SECONDS = 5
_NAVIGATION = (
    ("/", "Overview"),
    ("/events", "Events"),
    ("/users", "Users"),
    ("/queues", "Queues"),
    ("/dead", "Dead letters"),
    ("/settings", "Settings"),
)


def page(
    request: Request, template: str, /, *, status: int = 200, can_be_live: bool = False, can_act: bool = True,
    **context: Any,
) -> Response:  # fmt: skip
    """The page from its template. A part that could not be read makes it a 503, with everything else still there.
    `can_act`: False where what its buttons need does not answer."""
    is_whole = not any(isinstance(value, Part) and value.problem for value in context.values())
    frame = _frame(request, context) | {"dead_count": _dead_count(request) if is_whole and status < 400 else None}
    frame |= {"can_act": is_whole and can_act, "toast": toast.take(request)}
    frame |= {"can_be_live": can_be_live, "is_live": can_be_live and request.query_params.get("live") == "1"}
    text = _environment().get_template(template).render(**frame, **context)
    # What a provider put into a name may be a lone surrogate, which UTF-8 has no bytes for.
    body = text.encode("utf-8", "replace")
    response = Response(body, status_code=status if is_whole else 503, media_type="text/html; charset=utf-8")
    toast.forget(request, response)
    return response


def _frame(request: Request, context: dict[str, Any]) -> dict[str, Any]:
    path, person = request.url.path, getattr(request.state, "person", None)
    query = dict(request.query_params)
    return {
        "navigation": _NAVIGATION,
        "here": "/" if path == "/" else f"/{path.split('/')[1]}",
        "address": words.link(path, query),
        "live_address": words.link(path, query, live=None if query.get("live") == "1" else "1"),
        "live_seconds": _LIVE_SECONDS,
        "version": product_version(),
        "me": person,
        "may": person.may if person else lambda _role: False,
        "times": times_of(request),
        "all_times": TIMES,
        "rendered_at": clock.now(),
        "workspace": _workspace(request),
        **_as_seen(person, context, is_revealed=bool(getattr(request.state, "is_revealed", False))),
    }


def _as_seen(person: Person | None, context: dict[str, Any], *, is_revealed: bool) -> dict[str, Any]:
    """How names, values, payloads and sentences are written for this person. What the people of the page are called
    stands in its own data, so it is found in sentences, too."""
    sees_all = is_revealed or (person is not None and person.sees_names)
    if sees_all:
        return {"is_masked": False, "name_shown": str, "field_shown": lambda _field, value: value,
                "json_shown": lambda value: value, "text_shown": str}  # fmt: skip
    known = masking.called(context)
    return {"is_masked": True, "name_shown": masking.masked_name, "field_shown": masking.masked_value,
            "json_shown": lambda value: masking.masked_json(value, known),
            "text_shown": lambda text: masking.masked_text(text, known)}  # fmt: skip


def _workspace(request: Request) -> dict[str, Any]:
    """For the badge: which workspace, and whether it is Seam's own address."""
    settings = console_of(request).settings
    is_seam = settings.endpoint == Settings().endpoint
    return {"id": settings.workspace_id, "is_seam": is_seam, "host": settings.endpoint.partition("://")[2]}


def _dead_count(request: Request) -> int | None:
    def count() -> int:
        with console_of(request).reading() as connection:
            return dead.count_open(connection, at_most=1000)

    return part(count).value


@cache
def product_version() -> str:
    """The version of Seamkeeper that is installed."""
    try:
        return version("seamkeeper")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS)
    environment.globals["link"] = words.link
    return environment
