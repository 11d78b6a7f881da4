"""Sends a notice through apprise: to each address once, however often the job is tried."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

from seamkeeper import logs, notices
from seamkeeper.errors import ConfigurationError, Permanent, Temporary
from workers.notices import words_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seamkeeper.settings import Settings
    from workers.tools import Tools

_REMEMBERED = 7 * 86_400  # seconds: longer than a notice is tried


def check(told: Settings) -> None:
    """Raises `ConfigurationError` when apprise is not installed, or cannot use an address; their words stay here,
    since an address holds passwords."""
    if not told.notify:
        return
    try:
        import apprise  # noqa: F401 (it brings 130 services along: only where somebody is told something)
    except ImportError:
        sentence = "SEAMKEEPER_NOTIFY is set, and apprise is not installed: pip install 'seamkeeper[notify]'"
        raise ConfigurationError([sentence]) from None
    wrong = [number for number, url in enumerate(told.notify, 1) if _service(url) is None]
    if wrong:
        raise ConfigurationError(
            [f"SEAMKEEPER_NOTIFY: apprise cannot use address {_shown(told, number)}: its documentation says how "
             "that service's addresses are written." for number in wrong]
        )  # fmt: skip


def send(tools: Tools, name: str, about: Mapping[str, Any]) -> None:
    """Sends one notice, worded now. Raises Temporary when an address does not take it, Permanent when there is none."""
    with tools.engine.begin() as connection:
        kept = notices.begin(connection, name)
        if kept is None:  # sent before, taken back, or never committed
            return
        words = words_now(tools, connection, name, about) if about else kept
        if words is None:
            notices.forget(connection, name, state="sending")
            return
        notices.reword(connection, name, title=words[0], body=words[1])
    _deliver(tools, name, *words)
    with tools.engine.begin() as connection:
        notices.settle(connection, name, "sent")


def gave_up(tools: Tools, name: str, reason: str, *, is_dead: bool) -> None:
    """Why it was not sent, for now or for good."""
    with tools.engine.begin() as connection:
        notices.settle(connection, name, "dead" if is_dead else "sending", reason=reason)


def _deliver(tools: Tools, name: str, title: str, body: str) -> None:
    told, redis, key = tools.settings, tools.queues.redis, tools.queues.keys.told(name)
    if not told.notify:
        raise Permanent("SEAMKEEPER_NOTIFY is not set where the workers run")
    failed = []
    for number, url in enumerate(told.notify, 1):
        fingerprint = hashlib.sha256(url.encode()).hexdigest()[:16]
        if redis.sismember(key, fingerprint):  # an earlier try reached it, and failed at another
            continue
        if not _notify(url, title, body):
            failed.append(_shown(told, number))
            continue
        redis.sadd(key, fingerprint)
        redis.expire(key, _REMEMBERED)
    if failed:
        raise Temporary(f"not taken by address {', '.join(failed)} of SEAMKEEPER_NOTIFY")
    logs.get().info("notice.sent", notice=name)


def _notify(url: str, title: str, body: str) -> bool:
    """One service, in this thread; apprise waits 4 s for a connection and 4 s for an answer (`?cto=` and `?rto=`)."""
    import apprise

    service = _service(url)
    if service is None:
        raise Permanent("apprise cannot use an address of SEAMKEEPER_NOTIFY: the worker says which one when it starts")
    return bool(apprise.Apprise([service]).notify(title=f"Seamkeeper: {title}", body=body))


def _service(url: str) -> Any:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines may hold whom an address writes to
    return apprise.Apprise.instantiate(url, suppress_exceptions=True)


def _shown(told: Settings, number: int) -> str:
    return f"{number} ({told.notify[number - 1].partition('://')[0]})"
