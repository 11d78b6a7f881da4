"""What Seam's error and warning codes mean to a person, and what to do next. Causes are from Seam's documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seamkeeper import clock
from seamkeeper.users import instant


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code in plain words; `short` is for lists, `causes` are the usual ones."""

    what: str
    next_step: str
    does_retry_help: str
    short: str
    causes: str = ""


def short(code: str) -> str:
    """A code in a few words; one that we do not know is its own word."""
    return MEANINGS[code].short if code in MEANINGS else code.replace("_", " ")


def likely_cause(code: str, observed: Mapping[str, Any], *, at: datetime) -> str:
    """Of the usual causes the one that the user's own data name; empty when they name none."""
    if code not in ("salto_ks_user_not_subscribed", "acs_user_inactive"):
        return ""
    if observed.get("is_suspended") is True:
        return "The person is suspended, so this is as it should be."
    schedule = observed.get("access_schedule")
    ends = [instant(schedule.get(name)) for name in ("starts_at", "ends_at")] if isinstance(schedule, Mapping) else []
    starts_at, ends_at = ends or (None, None)
    if isinstance(starts_at, datetime) and at < starts_at:
        return f"The access schedule has not started: it does on {_day(starts_at)}."
    if isinstance(ends_at, datetime) and ends_at <= at:
        return f"The access schedule has ended, on {_day(ends_at)}."
    codes = [each.get("error_code") for each in _entries(observed) if isinstance(each, Mapping)]
    if "salto_ks_subscription_limit_exceeded" in codes:
        return "The site's limit of subscriptions is reached: its error is present, too."
    return (
        "No access schedule stands against it now: somebody unsubscribed the person by hand, or the site's "
        "limit is reached."
    )


def _entries(observed: Mapping[str, Any]) -> list[Any]:
    found = observed.get("errors")
    return found if isinstance(found, list) else []


def _day(at: datetime) -> str:
    return clock.iso(at)[:16].replace("T", " ") + " UTC"


_REFUSED = Meaning(
    "The access system refused, or did not answer.",
    "It is tried again with growing pauses. If it stays for an hour, ask Seam's support with the request id.",
    "Yes, a few times",
    short="refused by the access system",
    causes="The access system is offline; it does not take a value, such as an e-mail address that is in use.",
)

MEANINGS: Mapping[str, Meaning] = {
    "deleted_externally": Meaning(
        "Someone removed this person in the access system itself.",
        "Ask the site; then create the person anew, or accept the deletion. Nothing is written meanwhile.",
        "No",
        short="deleted at the site",
        causes="Somebody removed the person at the site, or a synchronisation of the site with another directory did.",
    ),
    "salto_ks_subscription_limit_exceeded": Meaning(
        "The Salto KS site has no free subscription.",
        "Free one or buy more at the site.",
        "Only after a change at the site",
        short="no free subscription",
        causes="More people at the site than subscriptions were bought; people who left and are still subscribed.",
    ),
    "failed_to_create_on_acs_system": _REFUSED,
    "failed_to_update_on_acs_system": _REFUSED,
    "failed_to_delete_on_acs_system": _REFUSED,
    "being_deleted": Meaning(
        "The removal is under way.",
        "Wait; nothing is sent meanwhile.",
        "Wait",
        short="being deleted",
        causes="Somebody asked Seam for the deletion.",
    ),
    "salto_ks_user_not_subscribed": Meaning(
        "This person cannot open doors now: the schedule has not started or has ended, the site's limit is reached, "
        "or someone unsubscribed the person by hand.",
        "Compare the access schedule with the time, then look at the site's subscriptions.",
        "No",
        short="cannot open doors now",
        causes="The schedule has not started or has ended; the site's limit of subscriptions is reached; somebody "
        "unsubscribed the person by hand.",
    ),
    "latch_resident_user": Meaning(
        "This person is managed in Latch Mission Control.",
        "Change the person there; Seamkeeper does not write to it.",
        "No",
        short="managed in Latch",
        causes="The person was invited in Latch Mission Control.",
    ),
    "unknown_issue_with_acs_user": Meaning(
        "Seam could not synchronise this person and does not know why.",
        "Read the person again; if it stays, ask Seam's support.",
        "Perhaps",
        short="could not be synchronised",
        causes="The access system did not answer, or answered something that Seam does not know.",
    ),
    "latch_conflict_with_resident_user": Meaning(
        "Latch knows a resident with this identity, which Seam does not support.",
        "Give the person another identity, or manage the person in Latch Mission Control.",
        "No",
        short="conflict with a Latch resident",
        causes="The same e-mail address or telephone number belongs to a resident in Latch.",
    ),
    "acs_user_inactive": Meaning(
        "This person is inactive at the provider, though the access schedule runs and nobody suspended them.",
        "Look at the person at the provider.",
        "No",
        short="inactive at the provider",
        causes="Somebody switched the person off at the provider.",
    ),
    # our own findings
    "another_writer": Meaning(
        "We put this value right, and somebody else changed it again and again. We have stopped, for this field only.",
        "Find out who writes it. Then `seamkeeper apply` the user, or desire what the other wants.",
        "No",
        short="another writer",
        causes="A property management system, a directory or a person writes the same field.",
    ),
    "update_keeps_failing": Meaning(
        "The same value was sent several times and did not stay. We have stopped, for this field only.",
        "Look at the access system; then `seamkeeper apply` the user, or ask Seam's support with the request id.",
        "No",
        short="update keeps failing",
        causes="The access system does not take the value, and says so late or never.",
    ),
    "cannot_be_set": Meaning(
        "What is desired cannot be set through Seam's API.",
        "Desire something that can (a schedule with both ends; a value instead of none), or set it at the provider.",
        "No",
        short="cannot be set",
    ),
    "desired_is_wrong": Meaning(
        "Seam would refuse what is desired, so it is not sent.",
        "Mend the desired state; the user is read again.",
        "No",
        short="desired state is wrong",
    ),
    "recreate_wanted": Meaning(
        "This person is gone and still desired. The policy is to ask.",
        "`seamkeeper recreate` the user, or remove the desired state.",
        "No",
        short="recreate?",
        causes="The user was deleted at Seam or at the site.",
    ),
    "recreate_unclear": Meaning(
        "A new user was asked for and it is not clear whether there is one.",
        "Look in the access system; then link, delete or recreate by hand.",
        "No",
        short="recreate unclear",
        causes="Seam's answer was lost, or a user like this one was there already.",
    ),
    "too_many_missing": Meaning(
        "Many users of this access system were missing from Seam's list at once. Nothing was done about them.",
        "If they were deleted on purpose, `seamkeeper sync --system ID --accept-missing`; else ask Seam's support.",
        "Perhaps",
        short="many are missing",
    ),
    "webhook_silent": Meaning(
        "Events happened at Seam, and for longer than SEAMKEEPER_SILENCE_MINUTES no delivery came. The backfill brings "
        "them, late. Svix disables an endpoint after five days of failures, and tells only Seam.",
        "Look at Seam Console, Developer, Webhooks: is it enabled, is the address right? Then `seamkeeper register`, "
        'and "Recover failed messages" there.',
        "No",
        short="no deliveries",
    ),
    "clock_skew": Meaning(
        "The clock of this machine and Seam's differ by more than a minute. From five minutes on every signature is "
        "refused.",
        "Set the clock of the machines right (NTP).",
        "No",
        short="clock is wrong",
    ),
    "redis_unsafe": Meaning(
        "Redis may lose what was accepted: it evicts keys, keeps nothing on disk, or cannot write.",
        "Set what the message names in redis.conf, or choose a plan of your provider that keeps data.",
        "No",
        short="Redis may lose work",
    ),
    "redis_forgot": Meaning(
        "Redis was emptied, replaced or set back to an older state. Events are fetched and users compared anew.",
        "Nothing; it ends by itself. Find out why Redis lost its data.",
        "Yes, by itself",
        short="Redis lost its data",
    ),
    "webhook_missing": Meaning(
        "No webhook at Seam has our address, so no event reaches us. Somebody removed it, or never made it.",
        "`seamkeeper register --url …`. What happened meanwhile is fetched by itself (backfill).",
        "No",
        short="webhook is missing",
    ),
    "webhook_narrowed": Meaning(
        "Our webhook at Seam does not bring all the event types that we react to.",
        "`seamkeeper register --url …` adds those that it lacks.",
        "No",
        short="webhook lacks types",
    ),
    "webhook_duplicated": Meaning(
        "Several webhooks at Seam have our address. Each event comes several times and is handled once.",
        "`seamkeeper register --url … --remove-duplicates`, if nobody else needs them.",
        "No",
        short="webhook twice",
    ),
    "webhook_secret_unknown": Meaning(
        "Seam signs what it sends to our address with a secret that we do not have, so we refuse it.",
        "`seamkeeper register --url … --secret-file …`, or copy the secret from Seam Console.",
        "No",
        short="unknown secret",
    ),
    "seam_refuses_us": Meaning(
        "Seam does not accept our API key (401). Nothing is read, and nobody is marked as gone.",
        "Look at the key in Seam Console, set SEAM_API_KEY, and start the processes again.",
        "Only with another key",
        short="API key refused",
    ),
    "circuit_open": Meaning(
        "Calls about the users of this access system keep failing. They wait.",
        "Look at the access system; they go on by themselves when it answers.",
        "Yes",
        short="calls keep failing",
    ),
}
