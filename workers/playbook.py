"""THE PLAYBOOK: error or warning code of a user -> what is done about it, each line with its reason.

The codes are Seam's (acs_user, errors and warnings). Codes that are not here are kept, shown and told; they change
nothing in what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seamkeeper import users


@dataclass(frozen=True, slots=True)
class Play:
    """What one code means for us.

    `writes`: drift of the user is repaired all the same. `resends`: the values sent last are sent again, bounded by the
    budget of repairs. `looks`: the user is read again a few times, since the code passes. `is_gone`: the user does not
    exist any more at the provider. `per_system`: told once per access system, not per user. `idle`: expected while the
    user's schedule does not run, or while the user is suspended. `tells`: people are told when it is raised.
    """

    why: str
    writes: bool = True
    resends: bool = False
    looks: bool = False
    is_gone: bool = False
    per_system: bool = False
    idle: bool = False
    tells: bool = True


PLAYBOOK: Mapping[str, Play] = {
    # errors
    "deleted_externally": Play(
        "the user was deleted at the provider; an update cannot bring a user back", writes=False, is_gone=True
    ),
    "salto_ks_subscription_limit_exceeded": Play(
        "the Salto KS site has no free subscription; we try again when one may be free", writes=False, per_system=True
    ),
    "failed_to_create_on_acs_system": Play(
        "the access system did not take the user; often the e-mail address is in use: another one repairs it"
    ),
    "failed_to_update_on_acs_system": Play(
        "the access system did not take an update; it is sent again a few times, then a person looks", resends=True
    ),
    "failed_to_delete_on_acs_system": Play(
        "a deletion that somebody asked for failed; we never delete, a person asks again", writes=False
    ),
    "latch_conflict_with_resident_user": Play(
        "Latch has a resident with this identity; Seam does not support it: only a person can mend it", writes=False
    ),
    # warnings
    "being_deleted": Play("the user is being deleted", writes=False, looks=True, tells=False),
    "salto_ks_user_not_subscribed": Play("the user cannot open doors now, though the schedule runs", idle=True),
    "acs_user_inactive": Play("the user is inactive at the provider, though the schedule runs", idle=True),
    "unknown_issue_with_acs_user": Play("Seam could not read the user at the provider; it may pass", looks=True),
    "latch_resident_user": Play(
        "the user is managed in Latch Mission Control and read-only here", writes=False, tells=False
    ),
}

_UNKNOWN = Play("a code that this release does not know")


def play_for(code: str) -> Play:
    """The line of a code; a code that is not in the table is told and changes nothing else."""
    return PLAYBOOK.get(code, _UNKNOWN)


def codes_of(observed: users.Observed) -> list[str]:
    """All codes present, errors first."""
    return [*users.codes(observed, "error"), *users.codes(observed, "warning")]


def expected(observed: users.Observed, *, at: datetime) -> list[str]:
    """Codes that are as they should be: who may not open doors now cannot."""
    is_idle = not users.is_current(observed.get("access_schedule"), at=at) or observed.get("is_suspended") is True
    return [code for code in codes_of(observed) if is_idle and play_for(code).idle]


def why_not_to_write(observed: users.Observed, *, is_slot_free: bool = False) -> str | None:
    """A reason not to write to this user whatever differs; else None. A subscription that may be free overrules only
    the lack of one."""
    if users.is_deleting(observed):
        return PLAYBOOK["being_deleted"].why
    for code in codes_of(observed):
        play = play_for(code)
        if not play.writes and not (is_slot_free and play.per_system):
            return play.why
    return None


def is_to_resend(observed: users.Observed, *, is_slot_free: bool = False) -> bool:
    """True when the access system refused what Seam shows, and may take it when it is sent again."""
    plays = [play_for(code) for code in users.codes(observed, "error")]
    return any(play.resends or (is_slot_free and play.per_system) for play in plays)


def is_to_look_again(observed: users.Observed) -> bool:
    """True when a code is present that passes."""
    return users.is_deleting(observed) or any(play_for(code).looks for code in codes_of(observed))


def is_gone(observed: users.Observed) -> bool:
    """True when Seam still shows a user whom the provider has no more."""
    return any(play_for(code).is_gone for code in codes_of(observed))


def next_start(observed: users.Observed, *, at: datetime) -> datetime | None:
    """When an expected code will become one to care about: at the start of the schedule; None when nothing waits."""
    if not expected(observed, at=at):
        return None
    schedule: Any = observed.get("access_schedule")
    starts_at = users.instant(schedule.get("starts_at")) if isinstance(schedule, Mapping) else None
    return starts_at if isinstance(starts_at, datetime) and starts_at > at else None
