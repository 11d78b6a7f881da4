"""How a page is put together: the template, the frame around it, the status."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from console.web import words
from console.web.state import Part, console_of, part
from seamkeeper import journal

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
    request: Request, template: str, /, *, status: int = 200, can_be_live: bool = False, **context: Any
) -> Response:
    """The page from its template. A part that could not be read makes it a 503, with everything else still there."""
    is_whole = not any(isinstance(value, Part) and value.problem for value in context.values())
    frame = _frame(request) | {"dead_count": _dead_count(request) if is_whole and status < 400 else None}
    frame |= {"can_be_live": can_be_live, "is_live": can_be_live and request.query_params.get("live") == "1"}
    text = _environment().get_template(template).render(**frame, **context)
    # What a provider put into a name may be a lone surrogate, which UTF-8 has no bytes for.
    body = text.encode("utf-8", "replace")
    return Response(body, status_code=status if is_whole else 503, media_type="text/html; charset=utf-8")


def _frame(request: Request) -> dict[str, Any]:
    path = request.url.path
    query = dict(request.query_params)
    return {
        "navigation": _NAVIGATION,
        "here": "/" if path == "/" else f"/{path.split('/')[1]}",
        "address": words.link(path, query),
        "live_address": words.link(path, query, live=None if query.get("live") == "1" else "1"),
        "live_seconds": _LIVE_SECONDS,
        "version": product_version(),
    }


def _dead_count(request: Request) -> int | None:
    def count() -> int:
        with console_of(request).reading() as connection:
            return journal.count_with(connection, "dead")

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
