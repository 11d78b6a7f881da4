"""Can this be kept as the desired state of a user? One answer for the API, for files and for forms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.cli.arguments import is_id
from seamkeeper import clock, users

_NO_FIELD = "names no field; name at least one"


class NotValid(Exception):
    """Field -> what is wrong with its value, in sentences."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self.fields = dict(fields)
        super().__init__("; ".join(f"{name} {' and '.join(said)}" for name, said in fields.items()))


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as they are kept: text without spaces around it. Raises `NotValid` with every mistake."""
    stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    if not stripped:
        raise NotValid({"": [_NO_FIELD]})
    if wrong := mistakes(stripped):
        raise NotValid({name: [sentence] for name, sentence in wrong.items()})
    return stripped


def mistakes(values: Mapping[str, Any]) -> dict[str, str]:
    """Field -> what Seam, or a database, would refuse; empty when all is well."""
    return users.mistakes(values, at=clock.now()) | _unstorable(values)


def _unstorable(values: Mapping[str, Any]) -> dict[str, str]:
    """What a database would refuse, or keep as something else."""
    found = {}
    for name, value in values.items():
        if name == "hid_acs_system_id" and not is_id(value):
            found[name] = "is no id (1 to 200 printable characters, no spaces)"
        elif isinstance(value, str) and not _is_text(value):
            found[name] = "holds a NUL or half a character"
    return found


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in value
