"""May a new user be made for one who is gone, now? By the policy, or because a person said yes.

Decided within one transaction with the user's row locked; says what it found in the row and in findings for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from seamkeeper import clock, issues, missing, recreations, systems, users
from seamkeeper.desired import desired_of
from seamkeeper.journal import is_deletion_announced
from seamkeeper.policies import Policy, policy_of
from seamkeeper.recreations import Gone, Recreation
from workers import notices, person
from workers.person import Wish
from workers.tools import Tools

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_FEW, _MOST_GONE = 10, 0.05  # of a system's users within an hour
_MANY_GONE = "many users of the access system went at once"
NOT_RESTORED = "Group memberships and credentials are not restored."


@dataclass(frozen=True, slots=True)
class Case:
    """All that decides about one user."""

    gone: Gone
    row: Recreation | None
    desired: Mapping[str, Any]
    policy: Policy
    wish: Wish
    at: datetime

    @property
    def is_ordered(self) -> bool:
        """A person said yes."""
        return self.row is not None and self.row.state in ("approved", "intended") and self.row.is_persons


def case_of(tools: Tools, connection: Connection, acs_user_id: str) -> Case | None:
    """The user's case, with the row locked; None for a user whom the mirror does not know."""
    gone, at = recreations.gone_user(connection, acs_user_id), clock.now()
    if gone is None:
        return None
    told, desired = tools.settings, desired_of(connection, acs_user_id)
    policy = policy_of(
        connection, acs_user_id, gone.acs_system_id, repair=told.repair, recreate=told.recreate, at=at
    )  # fmt: skip
    wish = person.wish_for(desired, gone.observed, gone.acs_system_id, at=at)
    return Case(gone, recreations.latest(connection, acs_user_id), desired, policy, wish, at)


def decide(tools: Tools, connection: Connection, case: Case) -> Recreation | None:
    """The row of a user who is to be made anew, now or when `what_to_wait_for` is over; None when nobody is to be made,
    or a person has to decide."""
    gone, row = case.gone, case.row
    if reason := why_nobody(case):
        recreations.drop(connection, row, reason=reason)
        return None
    if gone.replaced_by:
        tell(tools, connection, gone, "recreate_unclear",
             f"{gone.replaced_by} was made instead: say there what is desired, or remove it here")  # fmt: skip
        return None
    if row and row.state in ("refused", "unclear") and row.request.get("create") == case.wish.create:
        return None  # nothing was mended: the finding stays
    if _is_left_to_a_person(tools, connection, case):
        return None
    if row is None or row.state != "approved":
        recreations.ask(connection, gone, state="approved", by=recreations.POLICY)
        row = recreations.latest(connection, gone.acs_user_id)
    return row


def why_nobody(case: Case) -> str | None:
    """Why no new user is wanted (any more): nothing is desired, or the policy is against it; a person's yes holds."""
    if not case.desired:
        return "nothing is desired of the user"
    if case.is_ordered or case.gone.replaced_by:
        return None
    if case.policy.recreate == "never" or case.policy.repair == "off" or case.gone.acs_system_id is None:
        return f"recreate is {case.policy.recreate}, repairs are {case.policy.repair}"
    return None


def what_to_wait_for(
    tools: Tools, connection: Connection, case: Case, row: Recreation, raw: users.Observed | None
) -> str | None:
    """Why not now, in words; `raw` is what Seam still shows of the user."""
    acs_user_id = case.gone.acs_user_id
    if raw is not None and (users.is_deleting(raw) or "being_deleted" in users.codes(raw, "warning")):
        return "the old user is being deleted"
    if raw is not None and is_deletion_announced(connection, acs_user_id):
        return "the deletion of the old user was announced"
    if case.policy.repair == "paused":
        return "repairs are paused"
    if not systems.is_connected(connection, case.gone.acs_system_id):
        return "the access system is disconnected"
    if not row.is_persons and case.at < row.asked_at + _grace(tools):
        return "a moment, in which more may turn out to be gone, or this one to be there"
    return None


def is_budget_spent(tools: Tools, connection: Connection, case: Case) -> bool:
    """Asked last, within the transaction that writes the intent; people are told."""
    most = tools.settings.recreate_budget
    if recreations.intended_since(connection, case.at - _DAY) < most:
        return False
    said = f"waits: {most} users were made anew within a day, which is the most"
    tell(tools, connection, case.gone, "recreate_wanted", said)
    return True


def tell(
    tools: Tools, connection: Connection, gone: Gone, code: str, said: str, *, candidates: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> None:  # fmt: skip
    """A finding on the user who is gone; people are told when it is new."""
    detail = {name: list(each) for name, each in (("candidates", candidates), ("fields", fields)) if each}
    about: dict[str, Any] = {"acs_user_id": gone.acs_user_id, "acs_system_id": gone.acs_system_id}
    if issues.raise_finding(connection, code, **about, message=said, detail=detail or None):
        notices.issue_raised(tools, kind="finding", code=code, **about, connection=connection)


def _is_left_to_a_person(tools: Tools, connection: Connection, case: Case) -> bool:
    """Asked for, with the finding that says why. What was asked once stays a person's."""
    reason = case.wish.problem
    if not reason and not case.is_ordered:
        reason = _why_a_person(tools, connection, case)
        if not reason and case.row and case.row.state == "asked":
            reason = "a person was asked, and decides"
    if not reason:
        return False
    recreations.ask(connection, case.gone, state="asked", by=recreations.POLICY, reason=reason)
    if reason != _MANY_GONE:  # then the finding is the system's
        said = f"The user is gone and still desired; {reason}. {NOT_RESTORED}"
        tell(tools, connection, case.gone, "recreate_wanted", said, fields=sorted(case.wish.create))
    return True


def _why_a_person(tools: Tools, connection: Connection, case: Case) -> str | None:
    gone = case.gone
    if case.policy.recreate == "ask":
        return f"the policy ({case.policy.recreate_by}) is to ask before a new one is made"
    if case.policy.repair == "plan":
        return "repairs are only planned"
    if users.observed_value(gone.observed, "is_suspended") or case.desired.get("is_suspended"):
        return "the user was suspended, and a new one could enter until suspended again"
    if recreations.was_made_since(connection, gone.acs_user_id, case.at - tools.settings.fight_window):
        return f"the user was made in place of {gone.replaces} and is gone again: somebody else deletes"
    return _many_gone(tools, connection, case)


def _many_gone(tools: Tools, connection: Connection, case: Case) -> str | None:
    """Absence is not deletion: many at once are a fault until shown otherwise."""
    acs_system_id = str(case.gone.acs_system_id)
    went, held = recreations.gone_since(connection, acs_system_id, case.at - _HOUR)
    if went <= max(_FEW, _MOST_GONE * held):
        return None
    if missing.raise_it(connection, acs_system_id, "gone", number=went, held=held):
        notices.issue_raised(
            tools, kind="finding", code=missing.CODE, acs_system_id=acs_system_id, connection=connection
        )
    return _MANY_GONE


def _grace(tools: Tools) -> timedelta:
    """As long as the first looks take: Seam must say twice that the user is gone."""
    return timedelta(seconds=sum(tools.settings.reread_delays[:2]))
