"""The settings this process was started with. Secrets are never shown, not even in part."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web.rendering import page, product_version
from console.web.state import Console, console_of, part
from seamkeeper.settings import SETTINGS, Setting, Settings


@dataclass(frozen=True, slots=True)
class Line:
    """One setting as the page shows it."""

    name: str
    meaning: str
    value: str
    is_secret: bool
    is_default: bool


def settings(request: Request) -> Response:
    """GET /settings"""
    console = console_of(request)
    lines = [_line(console.settings, setting) for setting in SETTINGS]
    return page(request, "settings.html", lines=lines, parts=_parts(console), redis=part(lambda: _redis(console)))


def _line(settings: Settings, setting: Setting) -> Line:
    value = getattr(settings, setting.attribute)
    is_default = value == getattr(Settings(), setting.attribute)
    text = _hidden(value, is_default) if setting.is_secret else _text(value)
    return Line(setting.name, setting.meaning, text, setting.is_secret, is_default)


def _hidden(value: Any, is_default: bool) -> str:
    if not value:
        return "not set"
    if isinstance(value, tuple):
        return f"{len(value)} set, hidden" if len(value) > 1 else "set, hidden"
    return "default" if is_default else "set, hidden"


def _text(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds:g} s"
    if isinstance(value, tuple):
        return ", ".join(str(each) for each in value) or "not set"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) or "not set"


def _parts(console: Console) -> dict[str, str]:
    return {
        "Seamkeeper": product_version(),
        "Python": platform.python_version(),
        "RQ": version("rq"),
        "Database": {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(console.engine.dialect.name, "unknown"),
    }


def _redis(console: Console) -> dict[str, str]:
    info = console.redis.info("server") | console.redis.info("memory")
    policy = str(info.get("maxmemory_policy", "unknown"))
    return {
        "Redis or Valkey": str(info.get("valkey_version") or info.get("redis_version", "unknown")),
        "Memory used": str(info.get("used_memory_human", "unknown")),
        "When memory is full": policy if policy == "noeviction" else f"{policy}: work can be lost; set noeviction",
    }


routes = [Route("/settings", settings, methods=["GET"])]
