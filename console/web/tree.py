"""A payload as a tree: lists and objects that open, in a page without a script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from console.web import masking
from console.web.people import person_of

_DEEPEST = 12
_MOST = 500  # of one list or object


@dataclass(frozen=True, slots=True)
class Branch:
    """A name with a value in words, or with what is below it."""

    name: str
    value: str
    below: tuple[Branch, ...] = ()
    is_open: bool = False


def tree_of(request: Request, body: str) -> Branch | None:
    """The body of an event, masked for viewers; None when it is no JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _branch("", value if person_of(request).sees_names else masking.masked_json(value), 0)


def _branch(name: str, value: Any, depth: int) -> Branch:
    if not isinstance(value, (Mapping, list)):
        return Branch(name, json.dumps(value, ensure_ascii=False))
    pairs = list(value.items() if isinstance(value, Mapping) else enumerate(value))
    what = "field" if isinstance(value, Mapping) else "item"
    count = f"{len(pairs)} {what}{'' if len(pairs) == 1 else 's'}"
    if depth >= _DEEPEST:
        return Branch(name, f"{count}, too deep to be shown here")
    below = tuple(_branch(str(key), each, depth + 1) for key, each in pairs[:_MOST])
    return Branch(name, count, below, is_open=depth < 2)
