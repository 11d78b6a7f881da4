"""Instants: now, and how Seam and we write them."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def parse(text: object) -> datetime:
    """An instant as Seam writes it: ISO 8601 with an offset, in seconds, milliseconds or microseconds.

    Raises ValueError for anything else, a time without an offset included.
    """
    if not isinstance(text, str) or not 16 <= len(text) <= 40:
        raise ValueError("is not an ISO 8601 time")
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("has no time zone")
    return instant.astimezone(UTC)


def iso(instant: datetime) -> str:
    """The instant as we write it: UTC, microseconds, Z."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
