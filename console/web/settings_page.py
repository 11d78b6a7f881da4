"""What this installation was told, who may do what, whether it can work, and who did what."""

from __future__ import annotations

import platform
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console import effective
from console.doctor import examine
from console.web import asked
from console.web.access import needs_login
from console.web.acting import Asked, Done, action
from console.web.asking import queues_of
from console.web.rendering import page, product_version
from console.web.state import Console, console_of, part
from seamkeeper import audit, mirror, policies, registration
from seamkeeper.settings import Settings

_LATEST = 8
# Said on the page; each role may do what those before it may.
_ROLES = (
    ("viewer", "Looks at everything; names, e-mail addresses, telephone numbers and payloads are masked."),
    ("operator", "Also sees people unmasked, replays, syncs, pauses and resumes, edits what is desired, requeues and "
                 "cancels jobs, lets schedules run now."),
    ("admin", "Also discards dead letters, deletes jobs, stops workers, recreates people, repairs the webhook."),
)  # fmt: skip


def settings(request: Request) -> Response:
    """GET /settings"""
    console = console_of(request)
    told, audited = console.settings, part(lambda: _audit(console, before=None, limit=_LATEST))
    return page(
        request,
        "settings.html",
        lines=effective.lines(told),
        parts=_parts(console),
        results=examine(console),
        webhook=part(lambda: _webhook(console)),
        policies=part(lambda: _policies(console)),
        audited=audited,
        names=_names(console, audited.value or []),
        redis=part(lambda: console.redis.ping()),
        roles=_ROLES,
        logins=[*((each, "login") for each in told.console_logins), *((each, "token") for each in told.api_tokens)],
        proxies=told.trusted_proxies,
        proxy_roles=told.proxy_roles,
        has_login=needs_login(told),
        keeps=_keeps(told),
    )


def audit_log(request: Request) -> Response:
    """GET /settings/audit"""
    console, before = console_of(request), asked.row(request)
    about = asked.filters(request, "kind", "id")
    lines = part(lambda: _audit(console, before=before, limit=asked.PAGE + 1, **about))
    shown = (lines.value or [])[: asked.PAGE]
    next_before = str(shown[-1]["audit_id"]) if len(lines.value or []) > asked.PAGE else None
    return page(
        request, "audit.html", lines=lines, shown=shown, names=_names(console, shown), next_before=next_before,
        query=about, is_later=before is not None,
    )  # fmt: skip


def _names(console: Console, lines: list[dict[str, Any]]) -> dict[str, str]:
    """Of the people whom these lines are about: who gave a reason may have named them, and viewers see no names."""
    ids = [line["subject_id"] for line in lines if line["kind"] == "user" and line["subject_id"]]

    def read() -> dict[str, str]:
        with console.reading() as connection:
            return mirror.display_names(connection, ids)

    return (part(read).value or {}) if ids else {}


def check_now(told: Asked) -> Done:
    """A worker looks at our webhook."""
    queues_of(told.console).ask_registration(repair=False)
    return Done("A worker looks at our webhook at Seam now; this page shows what it finds.", "/settings#webhook")


def repair(told: Asked) -> Done:
    """A worker puts it right, whatever SEAMKEEPER_REGISTER says."""
    queues_of(told.console).ask_registration(repair=True)
    return Done("A worker puts our webhook at Seam right now; this page shows what became of it.", "/settings#webhook")


def _keeps(told: Settings) -> dict[str, timedelta]:
    return {
        "Settled events and their tries": told.keep_events,
        "Changes, writes, the audit log, closed issues": told.keep_history,
        "Ids of events, against repeated deliveries": told.dedupe,
    }


def _parts(console: Console) -> dict[str, str]:
    return {
        "Seamkeeper": product_version(),
        "Python": platform.python_version(),
        "RQ": version("rq"),
        "Database": {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(console.engine.dialect.name, "unknown"),
    }


def _webhook(console: Console) -> registration.Registration:
    with console.reading() as connection:
        return registration.read(connection)


def _policies(console: Console) -> list[dict[str, Any]]:
    with console.reading() as connection:
        return policies.list_policies(connection)[:100]


def _audit(
    console: Console, *, before: int | None, limit: int, kind: str | None = None, id: str | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    with console.reading() as connection:
        return audit.lines(connection, kind=kind, subject_id=id, before=before, limit=limit)


routes = [
    action("/settings/webhook/check", check_now, name="webhook.check", kind="webhook"),
    action("/settings/webhook/repair", repair, name="webhook.repair", role="admin", kind="webhook"),
    Route("/settings", settings, methods=["GET"]),
    Route("/settings/audit", audit_log, methods=["GET"]),
]
