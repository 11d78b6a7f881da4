"""One line per finished thing, to stdout: a constant message and fields. Never bodies, names, numbers or secrets."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(log_format: str = "auto", *, level: int = logging.INFO) -> None:
    """JSON lines, or readable ones (`auto`: readable in a terminal). Libraries log from WARNING on."""
    is_readable = log_format == "console" or (log_format == "auto" and sys.stdout.isatty())
    before: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
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


def _drop_meta(_logger: Any, _name: str, fields: Any) -> Any:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, fields)
