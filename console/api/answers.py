"""How a value becomes JSON for whoever asks: masked for viewers, and always JSON that every reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from console.web import masking
from console.web.people import person_of
from seamkeeper.columns import JSON_NULL

_DEEPEST = 60  # levels; a stranger's payload may have thousands


class AsciiJson(JSONResponse):
    """In ASCII: what a provider put into a name may be half a character, for which UTF-8 has no bytes."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def told(request: Request, value: Mapping[str, Any]) -> Any:
    """A row, or a payload, as this person may see it."""
    return readable(value if person_of(request).sees_names else masking.masked_json(value, masking.called(value)))


def payload(request: Request, body: str) -> Any:
    """A body as it was received: its JSON, or its text when it is none. Viewers see no text that is none."""
    if not person_of(request).sees_names:
        return readable(masking.masked_json(body))
    try:
        return readable(json.loads(body))
    except (ValueError, RecursionError):
        return readable(body)


def readable(value: Any, depth: int = 0) -> Any:
    """Without what JSON has no words for: half characters, NaN, and what is nested too deep."""
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {readable(str(name)): readable(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [readable(each, depth + 1) for each in value]
    if value is JSON_NULL or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value
