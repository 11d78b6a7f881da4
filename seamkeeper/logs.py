"""One line per finished thing, to stdout: a constant message and fields. Never bodies, names, numbers or secrets."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

Line = dict[str, Any]
_MOST = 30  # lines of one block
_LONGEST = 500  # characters of one value
_NOT_KEPT = ("ts", "exc_info", "_record", "_from_structlog")
_kept: ContextVar[tuple[list[Line], Collection[str]] | None] = ContextVar("log_lines_kept", default=None)


def configure(log_format: str = "auto", *, level: int = logging.INFO) -> None:
    """JSON lines, or readable ones (`auto`: readable in a terminal). Libraries log from WARNING on."""
    is_readable = log_format == "console" or (log_format == "auto" and sys.stdout.isatty())
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _keep,
    ]
    render: list[Any] = [structlog.dev.ConsoleRenderer()]
    if not is_readable:
        render = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*before, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=[_drop_meta, *render])
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def get() -> Any:
    """The logger: `logs.get().info("webhook.accepted", event_id=…)`."""
    return structlog.get_logger()


@contextmanager
def kept(*, but: Collection[str] = ()) -> Iterator[list[Line]]:
    """The lines of this thread until the end of the block, also for who shows them elsewhere: `event` (none of `but`),
    `level`, `at` and their fields, without tracebacks. Those of a block within it are its own."""
    lines: list[Line] = []
    token = _kept.set((lines, but))
    try:
        yield lines
    finally:
        _kept.reset(token)


def _keep(_logger: Any, _name: str, fields: Any) -> Any:
    lines, but = _kept.get() or (None, ())
    if lines is not None and len(lines) < _MOST and fields.get("event") not in but:
        rest = {name: _plain(value) for name, value in fields.items() if name not in _NOT_KEPT}
        lines.append({"at": fields.get("ts"), **rest})
    return fields


def _plain(value: Any) -> Any:
    """As JSON and every reader of it can hold it."""
    if isinstance(value, int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)[:_LONGEST].encode(errors="replace").decode()


def _drop_meta(_logger: Any, _name: str, fields: Any) -> Any:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, fields)
