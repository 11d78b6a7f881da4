"""What Seam's error and warning codes mean to a person, and what to do next. Causes are from Seam's documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code in plain words."""

    what: str
    next_step: str
    does_retry_help: str


_REFUSED = Meaning(
    "The access system refused, or did not answer.",
    "It is tried again with growing pauses. If it stays for an hour, ask Seam's support with the request id.",
    "Yes, a few times",
)

MEANINGS: Mapping[str, Meaning] = {
    "deleted_externally": Meaning(
        "Someone removed this person in the access system itself.",
        "Ask the site; then create the person anew, or accept the deletion. Nothing is written meanwhile.",
        "No",
    ),
    "salto_ks_subscription_limit_exceeded": Meaning(
        "The Salto KS site has no free subscription.",
        "Free one or buy more at the site.",
        "Only after a change at the site",
    ),
    "failed_to_create_on_acs_system": _REFUSED,
    "failed_to_update_on_acs_system": _REFUSED,
    "failed_to_delete_on_acs_system": _REFUSED,
    "being_deleted": Meaning("The removal is under way.", "Wait; nothing is sent meanwhile.", "Wait"),
    "salto_ks_user_not_subscribed": Meaning(
        "This person cannot open doors now: the schedule has not started or has ended, the site's limit is reached, "
        "or someone unsubscribed the person by hand.",
        "Compare the access schedule with the time, then look at the site's subscriptions.",
        "No",
    ),
    "latch_resident_user": Meaning(
        "This person is managed in Latch Mission Control.",
        "Change the person there; Seamkeeper does not write to it.",
        "No",
    ),
    "unknown_issue_with_acs_user": Meaning(
        "Seam could not synchronise this person and does not know why.",
        "Read the person again; if it stays, ask Seam's support.",
        "Perhaps",
    ),
}
