"""What arguments of several commands must look like."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from seamkeeper import clock

_ID = re.compile(r"[\x21-\x7e]{1,200}")  # as in events: what the database, Redis and Seam all can hold

PORT = click.IntRange(0, 65535)
AT_LEAST_ONE = click.IntRange(min=1)

_DURATION = re.compile(r"([1-9][0-9]{0,5})(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def is_id(value: object) -> bool:
    """True for what can be an id at Seam."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def an_id(value: str) -> str:
    """The type of an argument: anything that is no id is a slip of the keyboard, found before it is kept."""
    if not is_id(value):
        raise click.BadParameter(f"{value!r} is no id (1 to 200 printable characters, no spaces).")
    return value


def a_duration(value: str) -> timedelta:
    """30m, 24h, 7d or 2w."""
    match = _DURATION.fullmatch(value)
    if not match:
        raise click.BadParameter(f"{value!r} is no duration: minutes, hours, days or weeks, such as 30m, 24h, 7d, 2w.")
    try:
        duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
        clock.now() + duration  # the calendar ends
    except OverflowError:
        raise click.BadParameter(f"{value!r} is longer than time.") from None
    return duration


def an_instant(value: str) -> datetime:
    """ISO 8601; without a time zone it is the time of this machine, as tables show it."""
    try:
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{value!r} is no time, such as 2026-12-24T18:00 or 2026-12-24T18:00Z.") from None


def a_moment(value: str) -> datetime:
    """A time, or so long ago: `an_instant` or `a_duration`."""
    return clock.now() - a_duration(value) if _DURATION.fullmatch(value) else an_instant(value)


def until_options(command: _Command) -> _Command:
    """`--for` and `--until`, for `chosen_until`."""
    given = click.option("--until", "until", type=an_instant, metavar="TIME", help="Such as 2026-12-24T18:00Z.")
    return click.option("--for", "duration", type=a_duration, metavar="DURATION", help="Such as 24h.")(given(command))


def chosen_until(duration: timedelta | None, until: datetime | None) -> datetime:
    """The instant that one of `--for` and `--until` names; it lies ahead."""
    if (duration is None) == (until is None):
        raise click.UsageError("Give --for or --until.")
    at = clock.now() + duration if duration else until
    if at is None or at <= clock.now():
        raise click.UsageError("--until is in the past.")
    return at


by_option = click.option("--by", default=lambda: login_name(), metavar="NAME", help="Who decides; you by default.")


def login_name() -> str:
    """Who is at the keyboard, for the audit; a container may know nobody."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"
