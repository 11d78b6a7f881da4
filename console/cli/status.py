"""`seamkeeper status`: the overview on one screen."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from seamkeeper import clock, settings

if TYPE_CHECKING:
    from console.banners import Banner
    from console.glance import Kept, Working


@click.command("status")
@click.option("--watch", type=click.IntRange(1, 3600), metavar="N", help="Again every N seconds, until you end it.")
@output.json_option
def status_command(watch: int | None, as_json: bool) -> int:
    """Exit 0 when nothing is wrong, 1 when something needs a person now, 5 when Redis or the database is away."""
    told = settings.load()
    os.environ["RQ_KEY_PREFIX"] = told.redis_key_prefix  # RQ reads it once, when it is imported
    from console.web.state import close_console, open_console

    console = open_console(told)
    try:
        code = _once(console, as_json=as_json, is_compact=bool(watch))
        while watch:
            time.sleep(watch)
            code = _once(console, as_json=as_json, is_compact=True, clear=not as_json)
    finally:
        close_console(console)
    return code


def _once(console: Any, *, as_json: bool, is_compact: bool, clear: bool = False) -> int:
    from console.banners import banners
    from console.glance import read_kept, read_working

    kept, working = read_kept(console), read_working(console)
    found = banners(kept, working, clock.now())
    if clear:
        click.clear()
    if as_json:
        told = _as_json(kept, working, found)
        if is_compact:
            click.echo(json.dumps(told))
        else:
            output.print_json(told)
    else:
        _print(kept, working, found)
    return 1 if any(banner.tone == "bad" for banner in found) else 0


def _as_json(kept: Kept, working: Working, found: list[Banner]) -> dict[str, Any]:
    return {
        "at": clock.iso(clock.now()),
        "wrong": [{"tone": each.tone, "what": each.what, "words": each.words} for each in found],
        "events": {"received": kept.received, "per_minute": kept.per_minute, "dead": kept.dead},
        "tries": {"ended": kept.tries.ended, "again": kept.tries.again, "dead": kept.tries.dead},
        "queues": {
            queue.name: {**queue.counts, "oldest_seconds": queue.oldest_age, "is_paused": queue.is_paused}
            for queue in working.queues
        },
        "workers": {"alive": len(working.alive), "registered": len(working.workers), "versions": working.versions},
        "scheduler": working.has_scheduler,
        "users": {"number": kept.users, "sync": kept.syncs, "health": kept.healths},
        "seam_api": {"calls": working.api_calls, "refused": working.api_refused, "rate": working.rate},
        "last_delivery_at": clock.iso(working.delivered_at) if working.delivered_at else None,
        "webhook": {"state": kept.webhook.state, "url": kept.webhook.url, "checked_at": kept.webhook.checked_at},
    }


def _print(kept: Kept, working: Working, found: list[Banner]) -> None:
    for banner in found:
        click.echo(f"{'!!' if banner.tone == 'bad' else '! '} {output.printable(f'{banner.what} {banner.words}')}")
    click.echo("" if found else "Nothing is wrong.\n")
    output.print_fields(_fields(kept, working))
    click.echo()
    rows = [
        (queue.name + (" (paused)" if queue.is_paused else ""), *(queue.counts[each] for each in _STATES),
         _lasting(queue.oldest_age)) for queue in working.queues
    ]  # fmt: skip
    output.print_table(("queue", "waiting", "running", "later", "failed", "oldest"), rows, empty="")
    people = [_person(user) for user in kept.attention]
    if people:
        output.print_table(("needs a person", "id", "sync", "health", "since"), people, empty="")


def _person(user: dict[str, Any]) -> tuple[str, ...]:
    since = clock.iso(user["since"]) if user["since"] else None
    return user["display_name"], user["acs_user_id"][:8], user["sync"], user["health"], output.local_time(since)


_STATES = ("queued", "started", "scheduled", "failed")


def _fields(kept: Kept, working: Working) -> dict[str, str]:
    received = ", ".join(f"{number} {status}" for status, number in kept.received.items())
    failed = kept.tries.again + kept.tries.dead
    rate = "" if working.rate is None else f"{working.rate:.0f}/s allowed now, "
    return {
        "events, 60 min": f"{sum(kept.received.values())}{f' ({received})' if received else ''}",
        "failed tries": f"{failed} of {kept.tries.ended} ({kept.tries.share * 100:.1f} %)",
        "oldest waiting": f"{_lasting(working.oldest_age)} (goal: under 30 s)",
        "Seam's API": f"{rate}{working.api_calls} calls, {working.api_refused} answered 429",
        "users": ", ".join(f"{number} {word.replace('_', ' ')}" for word, number in kept.syncs.items()) or "none",
        "last delivery": output.local_time(clock.iso(working.delivered_at) if working.delivered_at else None),
        "webhook": kept.webhook.state or "not looked at yet",
        "workers": f"{len(working.alive)} of {len(working.workers)}",
        "scheduler": "acts" if working.has_scheduler else "nobody acts",
    }


def _lasting(seconds: float | None) -> str:
    from console.web.words import lasting

    return "-" if seconds is None else lasting(seconds)
