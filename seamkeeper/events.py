"""One event: read from JSON, its family, whom it is about.

The wire body is the bare SeamEvent, without an envelope (Seam docs, "Example webhook payload"). Types are never
checked against a list: Seam sends new ones before their schemas are published.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from seamkeeper import clock
from seamkeeper.errors import UnreadableEvent

_NAME = re.compile(r"[\x21-\x7e]{1,200}")
# What a type cannot do without. The SDK accepts these events silently without it (or with acs_user_id=5).
_NEEDED = {"acs_user": ("acs_user_id", "acs_system_id"), "acs_system": ("acs_system_id",)}


@dataclass(frozen=True, slots=True)
class Event:
    """One Seam event. `payload` is the whole body as it came; instants are aware and in UTC."""

    event_id: str
    event_type: str
    workspace_id: str
    created_at: datetime
    occurred_at: datetime
    payload: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The word before the dot: `acs_user` of `acs_user.deleted`."""
        return self.event_type.partition(".")[0]

    def subject(self, field: str) -> str | None:
        """An id the event names, such as `acs_user_id`; None when it names none (or something that is no id)."""
        value = self.payload.get(field)
        return value if _is_name(value) else None


def read_event(body: str) -> Event:
    """The event in a body, already decoded from UTF-8.

    Raises `UnreadableEvent` with a reason that holds nothing of the body's content.
    """
    payload = _read_object(body)
    event_type = _name(payload, "event_type")
    for field in _NEEDED.get(event_type.partition(".")[0], ()):
        _name(payload, field)
    return Event(
        event_id=_name(payload, "event_id"),
        event_type=event_type,
        workspace_id=_name(payload, "workspace_id"),
        created_at=_instant(payload, "created_at"),
        occurred_at=_instant(payload, "occurred_at"),
        payload=payload,
    )


def quarantine_id(body: bytes) -> str:
    """The name under which an unreadable body is kept: the same bytes twice are one entry."""
    return f"unreadable-{hashlib.sha256(body).hexdigest()[:32]}"


def _read_object(body: str) -> Mapping[str, Any]:
    try:
        payload = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise UnreadableEvent("the body is JSON nested too deep to be read") from None
    except ValueError:  # JSONDecodeError, NaN, integers of thousands of digits
        raise UnreadableEvent("the body is not JSON") from None
    if not isinstance(payload, dict):
        raise UnreadableEvent("the body is JSON but not an object")
    return payload


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _name(payload: Mapping[str, Any], field: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str) or not _is_name(value):
        raise UnreadableEvent(f"{field} is missing or not a name of 1 to 200 printable characters")
    return value


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _instant(payload: Mapping[str, Any], field: str) -> datetime:
    try:
        return clock.parse(payload.get(field))
    except (ValueError, OverflowError):
        raise UnreadableEvent(f"{field} is missing or not an ISO 8601 time with a time zone") from None
