"""Silence: are there events at Seam that no delivery brings? And is our clock right, without which none can?

Svix ends a message after 27 h 35 m and disables an endpoint after 5 days of failures; it tells Seam's account, not us.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from seamkeeper import checkpoints, clock, database
from seamkeeper.accept import WEBHOOK, last_at
from workers import findings
from workers.backfill import Count, present
from workers.tools import Tools

SILENCE, SKEW = "silence", "skew"
_MOST_SKEW = timedelta(seconds=60)
_CLOSE = timedelta(seconds=5)  # a backfill may be this much quicker than the delivery; and times are in whole seconds


def listen(tools: Tools, count: Count) -> None:
    """After a backfill: since when have events come by it alone? A delivery, of whatever event, ends the silence. What
    happened before the first listening was no webhook's to bring."""
    with database.reading(tools.engine) as connection:
        known: dict[str, Any] = checkpoints.read(connection, SILENCE) or {}
    now = present(tools)  # events are stamped by Seam's clock
    delivered_at = last_at(tools.queues, WEBHOOK)
    if delivered_at:
        delivered_at -= clock.now() - now
    elif known.get("delivered_at"):  # Redis forgot
        delivered_at = clock.parse(known["delivered_at"])
    listens_since = known.get("listens_since") or clock.iso(now)
    since, missed = known.get("since") or count.oldest_missed_at, known.get("missed", 0) + count.missed
    is_older = since is not None and not known.get("since") and since < listens_since
    if since is None or is_older or (delivered_at and delivered_at > clock.parse(since) - _CLOSE):
        since, missed = None, 0
    is_silent = since is not None and now - clock.parse(since) > tools.settings.silence
    state = {"since": since, "missed": missed, "is_silent": is_silent, "listens_since": listens_since}
    state |= {"delivered_at": clock.iso(delivered_at) if delivered_at else None}
    with tools.engine.begin() as connection:
        checkpoints.write(connection, SILENCE, state)
    findings.of_the_house(tools, "webhook_silent", _words(state) if is_silent else None, state)


def compare_clocks(tools: Tools) -> None:
    """Ours and Seam's, by the last answer of this thread: what is beyond a minute is said, for signatures are refused
    from five minutes on (Svix, and not configurable)."""
    skew = tools.seam.skew()
    if skew is None:
        return
    seconds = round(skew.total_seconds())
    with tools.engine.begin() as connection:
        checkpoints.write(connection, SKEW, {"seconds": seconds})
    words = f"our clock is {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} Seam's"
    findings.of_the_house(tools, "clock_skew", words if abs(skew) > _MOST_SKEW else None, {"seconds": seconds})


def _words(state: dict[str, Any]) -> str:
    last = f"the last delivery was at {state['delivered_at']}" if state["delivered_at"] else "none was ever delivered"
    events = f"{state['missed']} event{'s' if state['missed'] != 1 else ''}"
    return f"{events} since {state['since']} came by backfill only; {last}"
