"""What needs a person now, in a sentence each, the worst first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from console.glance import Kept, Working
from console.web.meanings import MEANINGS
from console.web.words import lasting, number

AT_MOST = 3
GOAL = 30.0  # seconds that a job may wait
_OLD, _VERY_OLD = 60.0, 600.0
_QUIET = timedelta(hours=24)
_SOME_REFUSED = 3  # of strangers there are always one or two


@dataclass(frozen=True, slots=True)
class Banner:
    """`what` is said in strong letters, `words` behind it; both may hold `code`. `to` is the page that shows more."""

    tone: Literal["bad", "warn"]
    what: str
    words: str = ""
    to: str = ""
    since: str | None = None


def banners(kept: Kept | None, working: Working | None, at: datetime) -> list[Banner]:
    """All of them; a page shows the first `AT_MOST`. What could not be read has none."""
    found = [*(_of_work(working) if working else ()), *(_of_house(kept) if kept else ())]
    if working:
        found += [*_of_deliveries(working, at), *_of_backlog(working)]
    if kept:
        found += _of_the_dead(kept)
    if working:
        found += _of_lesser(working)
    return sorted(found, key=lambda banner: banner.tone)  # "bad" before "warn"; else the order above


def _of_work(working: Working) -> Iterator[Banner]:
    if not working.alive:
        yield Banner(
            "bad", "No worker is running.",
            "Events are accepted and wait in Redis; nothing is handled. Start one with `seamkeeper worker`.", "/queues",
        )  # fmt: skip
    if working.workers and not working.has_scheduler:
        words = "New tries, later looks and resyncs wait. Start one with `seamkeeper scheduler`."
        yield Banner("bad", "No scheduler acts.", words, "/queues")


def _of_house(kept: Kept) -> Iterator[Banner]:
    order = ("seam_refuses_us", "webhook_secret_unknown", "webhook_missing", "redis_unsafe", "webhook_silent")
    ranks = {code: place for place, code in enumerate(order)}
    for issue in sorted(kept.house, key=lambda each: ranks.get(each["code"], len(order))):
        meaning = MEANINGS.get(issue["code"])
        words = f"{issue['message']}. {meaning.next_step if meaning else ''}"
        to = "/settings" if issue["code"].startswith("webhook") else ""
        yield Banner("bad", meaning.what if meaning else issue["code"], words.strip(), to, issue["first_seen_at"])


def _of_deliveries(working: Working, at: datetime) -> Iterator[Banner]:
    refused = working.rejected.get("bad_signature", 0)
    if refused >= _SOME_REFUSED:
        yield Banner(
            "bad", f"{refused} requests with a wrong signature in the last hour.",
            "Compare `SEAM_WEBHOOK_SECRET` with Seam Console › Developer › Webhooks, and look at this machine's clock.",
        )  # fmt: skip
    silence = at - working.delivered_at if working.delivered_at else timedelta(0)
    if silence > _QUIET:
        yield Banner(
            "warn", f"No delivery for {lasting(silence.total_seconds())}.",
            "Svix disables an endpoint after 5 days of failures; look at Seam Console › Developer › Webhooks.",
            "/settings",
        )  # fmt: skip


def _of_backlog(working: Working) -> Iterator[Banner]:
    age = working.oldest_age or 0.0
    if age > _OLD:
        tone: Literal["bad", "warn"] = "bad" if age > _VERY_OLD else "warn"
        words = f"{number(working.count('queued'))} wait, {number(working.count('started'))} run."
        yield Banner(tone, f"The oldest waiting job has waited {lasting(age)}.", words, "/queues")


def _of_the_dead(kept: Kept) -> Iterator[Banner]:
    if not kept.dead and not kept.causes:
        return
    count = kept.dead or sum(group["number"] for group in kept.causes)
    shown = number(count) if count < 1000 else "1,000 or more"
    words = "They are not tried again without a person." if count > 1 else "It is not tried again without a person."
    if kept.causes:
        worst = kept.causes[0]
        cause = worst["cause"] + (f": {worst['field']}" if worst["field"] else "")
        words += f" {_share(worst['number'], count)}: `{cause}`."
    yield Banner("warn", f"{shown} dead {'letter' if count == 1 else 'letters'}.", words, "/dead")


def _share(of_worst: int, count: int) -> str:
    if count == 1:
        return "Its cause"
    if of_worst == count:
        return "All share one cause"
    return f"{number(of_worst)} share one cause" if of_worst > 1 else "One of the causes"


def _of_lesser(working: Working) -> Iterator[Banner]:
    """Not the jobs in RQ's failed registries: each has a dead letter, and what a later try put right stays there."""
    paused = [queue.name for queue in working.queues if queue.is_paused]
    if working.is_paused:
        yield Banner("warn", "All workers are suspended.", "Continue with `rq resume`.", "/queues")
    if paused:
        names = ", ".join(paused)
        yield Banner("warn", f"Paused: {names}.", "What comes is accepted and waits.", "/queues")
    if len(working.versions) > 1:
        names = ", ".join(working.versions)
        yield Banner("warn", "Workers of several versions run.", f"{names}: end the old ones.", "/queues")
