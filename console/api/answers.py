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


def told(request: Request, value: Any) -> Any:
    """A row, or a payload, as this person may see it."""
    if not person_of(request).sees_names:
        value = _without_addresses(masking.masked_json(value) if not isinstance(value, str) else value)
    return readable(value)


def _without_addresses(value: Any, field: str = "") -> Any:
    """Sentences hold e-mail addresses and telephone numbers, too, wherever they stand. Ids stay."""
    if isinstance(value, dict):
        return {name: _without_addresses(each, str(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_addresses(each, field) for each in value]
    return masking.masked_text(value) if isinstance(value, str) and not field.endswith("_id") else value


def payload(request: Request, body: str) -> Any:
    """A body as it was received: its JSON, or its text when it is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = body
    return told(request, value)


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
