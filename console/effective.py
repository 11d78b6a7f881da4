"""Which settings count in this process, and where each came from? Secrets are told by their last letters at most."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from seamkeeper.settings import SETTINGS, Login, Setting, Settings

# Secrets of one piece; the others are addresses or lists, whose end may say more than four letters.
_TOLD_BY_THEIR_END = ("api_key", "personal_access_token", "webhook_secrets")
_LONG_ENOUGH = 24  # characters; of a shorter one four letters are too many
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as people see it; `source` is `default`, `environment`, or the variable that names a file."""

    name: str
    meaning: str
    value: str
    is_secret: bool
    source: str

    @property
    def is_default(self) -> bool:
        """Nobody set it."""
        return self.source == "default"


def lines(told: Settings, environ: Mapping[str, str] | None = None) -> list[Line]:
    """All of the table, in its order."""
    environ = os.environ if environ is None else environ
    return [_line(told, setting, environ) for setting in SETTINGS]


def plain_value(value: Any) -> Any:
    """A value that is no secret, as JSON holds it: durations are seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return ["=".join(each) if isinstance(each, tuple) else plain_value(each) for each in value]
    return value if isinstance(value, (int, float)) else str(value)


def _line(told: Settings, setting: Setting, environ: Mapping[str, str]) -> Line:
    value = getattr(told, setting.attribute)
    is_default = value == getattr(Settings(), setting.attribute)
    text = _hidden(setting, value, is_default) if setting.is_secret else _text(value)
    source = "default" if is_default else _source(setting.name, environ)
    return Line(setting.name, setting.meaning, text, setting.is_secret, source)


def _source(name: str, environ: Mapping[str, str]) -> str:
    return f"{name}_FILE" if environ.get(f"{name}_FILE", "").strip() else "environment"


def _hidden(setting: Setting, value: Any, is_default: bool) -> str:
    if not value:
        return "not set"
    if is_default:
        return "default"
    if isinstance(value, tuple) and isinstance(value[0], Login):
        return ", ".join(f"{login.name} ({login.role})" for login in value)
    if isinstance(value, tuple) and len(value) > 1:
        return f"{len(value)} set, hidden"
    one = str(value[0] if isinstance(value, tuple) else value)
    if setting.attribute in _TOLD_BY_THEIR_END and len(one) >= _LONG_ENOUGH:
        return f"set, ends …{one[-4:]}"
    return "set, hidden"


def _text(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= 2 * size), (1, "s"))
        return f"{seconds / size:g} {unit}"
    if isinstance(value, tuple):
        return ", ".join("=".join(each) if isinstance(each, tuple) else str(each) for each in value) or "not set"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) or "not set"
