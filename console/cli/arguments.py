"""What arguments of several commands must look like."""

from __future__ import annotations

import re

import click

_ID = re.compile(r"[\x21-\x7e]{1,200}")  # as in events: what the database, Redis and Seam all can hold

PORT = click.IntRange(0, 65535)
AT_LEAST_ONE = click.IntRange(min=1)


def is_id(value: object) -> bool:
    """True for what can be an id at Seam."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def an_id(value: str) -> str:
    """The type of an argument: anything that is no id is a slip of the keyboard, found before it is kept."""
    if not is_id(value):
        raise click.BadParameter(f"{value!r} is no id (1 to 200 printable characters, no spaces).")
    return value
