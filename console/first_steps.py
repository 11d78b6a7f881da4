"""What is still to be done until the first event arrives, with a tick at what was seen to be done."""

from __future__ import annotations

from dataclasses import dataclass

from console.glance import Kept, Working


@dataclass(frozen=True, slots=True)
class Step:
    """One of them; `words` may hold `code`. `is_done` only when something of it was seen."""

    what: str
    words: str
    is_done: bool


def first_steps(kept: Kept, working: Working | None) -> list[Step]:
    """In the order in which they are taken; none once an event was kept."""
    if kept.latest:
        return []
    has_worker = bool(working and working.alive)
    was_reached = bool(working and (working.accepted or working.rejected or working.delivered_at))
    is_registered = kept.webhook.state == "ok" or kept.webhook.registered_at is not None
    return [
        Step("Start a worker and the scheduler", "`seamkeeper worker` and `seamkeeper scheduler`, or `seamkeeper dev` "
             "for all of it.", has_worker),
        Step("Give an API key", "`SEAM_API_KEY`, from Seam Console › Developer › API Keys. Ticked once Seam answered.",
             bool(working and working.api_calls and not _is_refused(kept))),
        Step("Expose the webhook's address", "`https://your-host/webhooks/seam`, served by `seamkeeper serve`, must be "
             "reachable from the internet.", was_reached or is_registered),
        Step("Tell Seam about it", "`seamkeeper register --url https://your-host/webhooks/seam`, which also gives you "
             "the signing secret.", is_registered),
        Step("Send one to yourself", "`seamkeeper send acs_user.deleted`, and watch it arrive here.",
             bool(working and working.accepted)),
        Step("Read the people who are there already", "`seamkeeper sync --all`: a first resync.",
             bool(kept.users or any(each.ended_at for each in kept.rhythms))),
    ]  # fmt: skip


def _is_refused(kept: Kept) -> bool:
    return any(issue["code"] == "seam_refuses_us" for issue in kept.house)
