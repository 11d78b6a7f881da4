"""A place in a list, as the words that stand for it in an address. What they hold is no part of the contract."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from fastapi.exceptions import RequestValidationError


def cursor(*place: str | int) -> str:
    """For `next_cursor`."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def place(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """What was given to `cursor`, of these kinds; None without one. Another text is 422."""
    if not cursor:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise wrong_cursor() from None
    if not isinstance(found, list) or [type(each) for each in found] != list(kinds):
        raise wrong_cursor()
    if any(isinstance(each, str) and not _is_text(each) for each in found):
        raise wrong_cursor()
    if any(isinstance(each, int) and abs(each) > 2**31 - 1 for each in found):
        raise wrong_cursor()
    return tuple(found)


def wrong_cursor() -> RequestValidationError:
    """It is told like any other value."""
    return RequestValidationError([{"loc": ("query", "cursor"), "type": "cursor", "msg": "is not one of ours"}])


def _is_text(text: str) -> bool:
    """What every database can compare."""
    return "\x00" not in text and text == text.encode("utf-8", "replace").decode()
