"""Who is made anew in place of whom: the intents, what became of them, and the link between the two users.

The intent is committed before Seam is asked, so that a lost answer cannot lead to a second new user. What is decided,
and the calls, are in workers/recreate.py; docs/recreate.md tells the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, or_, select, union, update

from seamkeeper import clock, history, issues, missing
from seamkeeper.database import acs_users, actions, checkpoints, desired_users, plain_row, policies, recreations, upsert
from seamkeeper.database import issues as issue_rows
from seamkeeper.users import codes

CREATE = "/acs/users/create"
POLICY = "policy: auto"  # `asked_by` of a recreation that no person asked for


@dataclass(frozen=True, slots=True)
class Gone:
    """What the mirror holds of somebody who is gone: the last observation, and whom they replaced or were replaced
    by."""

    acs_user_id: str
    acs_system_id: str | None
    observed: Mapping[str, Any]
    deleted_at: datetime | None
    replaces: str | None
    replaced_by: str | None


@dataclass(frozen=True, slots=True)
class Recreation:
    """One row. `request` holds `create`, the body for Seam; `since`, when that was intended first; and `passed_over`:
    users like this one who were there before, and so are not the new one."""

    recreation_id: int
    acs_user_id: str
    acs_system_id: str
    state: str
    request: Mapping[str, Any]
    new_acs_user_id: str | None
    asked_by: str
    reason: str | None
    asked_at: datetime
    intended_at: datetime | None
    settled_at: datetime | None

    @property
    def is_persons(self) -> bool:
        """A person decided, not the policy."""
        return self.asked_by != POLICY


def approve(connection: Connection, acs_user_id: str, *, by: str) -> None:
    """A person wants the new user. After the commit ask for a reconcile of `acs_user_id`: it does the rest.

    Raises ValueError, with a sentence for that person, when there is nothing to approve.
    """
    gone = gone_user(connection, acs_user_id)
    if gone is None or not _is_gone(gone):
        raise ValueError(f"{acs_user_id} is not gone: nobody is made anew who is there")
    if gone.replaced_by:
        raise ValueError(f"{acs_user_id} was replaced by {gone.replaced_by} already")
    if not _is_desired(connection, acs_user_id):
        raise ValueError(f"nothing is desired of {acs_user_id}: say first what the new user shall be")
    row = latest(connection, acs_user_id)
    if row and row.state == "intended":
        raise ValueError(f"{acs_user_id}: the new user was asked for; the answer is awaited")
    if gone.acs_system_id is None:
        raise ValueError(f"{acs_user_id} was never read: nobody knows the access system")
    known = _candidates(connection, acs_user_id)  # the person has seen them, and still wants a new user
    ask(connection, gone, state="approved", by=by, request={"passed_over": known})
    issues.clear_finding(connection, "recreate_unclear", acs_user_id=acs_user_id)
    _clear_mass(connection, gone.acs_system_id)


def list_recreations(
    connection: Connection, *, state: str | None = None, acs_system_id: str | None = None, before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:  # fmt: skip
    """Recreations, newest first, a page at a time: `before` is the last recreation_id seen. `state="asked"`: those
    that wait for a person."""
    query = select(recreations)
    for column, value in ((recreations.c.state, state), (recreations.c.acs_system_id, acs_system_id)):
        query = query.where(column == value) if value is not None else query
    if before is not None:
        query = query.where(recreations.c.recreation_id < before)
    rows = connection.execute(query.order_by(recreations.c.recreation_id.desc()).limit(limit)).mappings()
    return [plain_row(row) for row in rows]


def under_way(connection: Connection, acs_system_id: str) -> list[str]:
    """Users of an access system whose new user is to be made, or was asked for without an answer; and those of whom a
    person was told, when what is desired was changed or taken away since, by an application that asks for no look."""
    is_it = (recreations.c.acs_system_id == acs_system_id) & recreations.c.state.in_(("approved", "intended"))
    begun = select(recreations.c.acs_user_id).where(is_it)
    told = (issue_rows.c.code.in_(issues.OF_THE_GONE)) & issue_rows.c.cleared_at.is_(None)
    joined = issue_rows.join(acs_users, acs_users.c.acs_user_id == issue_rows.c.acs_user_id).outerjoin(
        desired_users, desired_users.c.acs_user_id == issue_rows.c.acs_user_id
    )
    stamp = desired_users.c.updated_at  # NULL too when nothing is desired any more
    is_moved = or_(stamp.is_(None), stamp > acs_users.c.read_at)
    waiting = select(issue_rows.c.acs_user_id).select_from(joined)
    waiting = waiting.where(told, is_moved, issue_rows.c.acs_system_id == acs_system_id)
    return list(connection.execute(union(begun, waiting)).scalars())


def many_wait(connection: Connection, acs_system_id: str) -> bool:
    """True while users of an access system that lost many wait for a person."""
    waiting = (recreations.c.acs_system_id == acs_system_id) & (recreations.c.state == "asked")
    is_any = connection.execute(select(recreations.c.recreation_id).where(waiting).limit(1)).first() is not None
    return is_any and missing.is_said(connection, acs_system_id, "gone")


def gone_user(connection: Connection, acs_user_id: str) -> Gone | None:
    """The user's row, locked for this transaction: two workers never decide about one person at once."""
    names = ("acs_user_id", "acs_system_id", "observed", "deleted_at", "replaces", "replaced_by")
    query = select(*(acs_users.c[name] for name in names)).where(acs_users.c.acs_user_id == acs_user_id)
    row = connection.execute(query.with_for_update()).mappings().one_or_none()
    return None if row is None else Gone(**{**row, "observed": row["observed"] or {}})


def latest(connection: Connection, acs_user_id: str) -> Recreation | None:
    """The newest recreation of a user."""
    newest = select(recreations).where(recreations.c.acs_user_id == acs_user_id)
    row = connection.execute(newest.order_by(recreations.c.recreation_id.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else _read(row)


def ask(
    connection: Connection, gone: Gone, *, state: str, by: str, reason: str | None = None,
    request: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """The user's recreation is `asked` for (a person decides) or `approved`: a new row, or the one that waits."""
    row = latest(connection, gone.acs_user_id)
    values: dict[str, Any] = {"state": state, "asked_by": by, "reason": reason}
    if row and row.state in ("asked", "approved"):
        values |= {"request": dict(request)} if request else {}
        is_it = recreations.c.recreation_id == row.recreation_id
        connection.execute(update(recreations).where(is_it).values(values))
        return
    values |= {"acs_user_id": gone.acs_user_id, "acs_system_id": gone.acs_system_id, "asked_at": clock.now()}
    connection.execute(insert(recreations).values(**values, request=dict(request or {})))


def intend(connection: Connection, row: Recreation, request: Mapping[str, Any], *, at: datetime) -> Recreation | None:
    """The intent, to be committed before the call; None when another has moved the row meanwhile."""
    values = {"state": "intended", "request": dict(request), "intended_at": at, "reason": None}
    return latest(connection, row.acs_user_id) if _move(connection, row, values) else None


def settle(
    connection: Connection, row: Recreation, state: str, *, reason: str | None = None,
    request: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """How it ended; False when another has moved the row meanwhile."""
    values = {"state": state, "reason": reason, "settled_at": clock.now()}
    return _move(connection, row, values | ({"request": dict(request)} if request else {}))


def give_reason(connection: Connection, row: Recreation, reason: str) -> None:
    """What it waits for."""
    _move(connection, row, {"reason": reason})


def drop(connection: Connection, row: Recreation | None, *, reason: str) -> None:
    """Nobody is to be made any more: what was asked for and not begun is over, and so are the findings."""
    if row is None:
        return
    if row.state in ("asked", "approved"):
        settle(connection, row, "dropped", reason=reason)
    if row.state != "intended":
        clear_findings(connection, row.acs_user_id)
    _clear_mass(connection, row.acs_system_id)


def clear_findings(connection: Connection, acs_user_id: str) -> None:
    """No person has to decide about this user any more."""
    for code in issues.OF_THE_GONE:
        issues.clear_finding(connection, code, acs_user_id=acs_user_id)


def link(connection: Connection, row: Recreation, new_acs_user_id: str, *, how: str, source: str) -> bool:
    """`how` is `created` or `adopted`: the new user takes the place of the old one, with what is desired of them and
    what was said about them. All in one transaction: afterwards exactly one of the two is managed. False when another
    has moved the row meanwhile."""
    values = {"state": how, "new_acs_user_id": new_acs_user_id, "settled_at": clock.now(), "reason": None}
    if not _move(connection, row, values):
        return False
    old = row.acs_user_id
    connection.execute(update(acs_users).where(acs_users.c.acs_user_id == old).values(replaced_by=new_acs_user_id))
    at = row.intended_at
    made: dict[str, Any] = {"acs_system_id": row.acs_system_id, "sync": "unknown", "health": "ok", "drift": {}}
    made |= {"read_at": at, "first_seen_at": at, "changed_at": at}
    upsert(connection, acs_users, {"acs_user_id": new_acs_user_id, "replaces": old}, made=made)
    _move_desired(connection, old, new_acs_user_id)
    _copy_policy(connection, old, new_acs_user_id)
    clear_findings(connection, old)
    detail = {"replaced_by": new_acs_user_id, "how": how}
    history.note_change(connection, old, "acs_user.recreated", detail, source=source)
    history.note_change(connection, new_acs_user_id, "acs_user.recreated", {"replaces": old, "how": how}, source=source)
    return True


def taken(connection: Connection, acs_user_ids: Collection[str]) -> tuple[set[str], set[str]]:
    """Of these users those who are managed already, and those who took the place of somebody."""
    managed = select(desired_users.c.acs_user_id).where(desired_users.c.acs_user_id.in_(acs_user_ids))
    new = select(recreations.c.new_acs_user_id).where(recreations.c.new_acs_user_id.in_(acs_user_ids))
    return set(connection.execute(managed).scalars()), set(connection.execute(new).scalars()) - {None}


def is_known_before(connection: Connection, acs_user_id: str, at: datetime) -> bool:
    """True for somebody who was in the mirror before."""
    is_it = (acs_users.c.acs_user_id == acs_user_id) & (acs_users.c.first_seen_at < at)
    return connection.execute(select(acs_users.c.acs_user_id).where(is_it)).first() is not None


def was_made_since(connection: Connection, acs_user_id: str, since: datetime) -> bool:
    """True for a user who took somebody's place by our hand since then."""
    is_it = (recreations.c.new_acs_user_id == acs_user_id) & (recreations.c.settled_at >= since)
    return connection.execute(select(recreations.c.recreation_id).where(is_it)).first() is not None


def intended_since(connection: Connection, since: datetime) -> int:
    """How many new users were asked for since then. Counted within a lock, so that two workers do not both take the
    last one of a budget."""
    upsert(connection, checkpoints, {"name": "recreations", "updated_at": clock.now()}, made={})
    query = select(func.count()).where(recreations.c.intended_at >= since)
    return int(connection.execute(query).scalar_one())


def gone_since(connection: Connection, acs_system_id: str, since: datetime) -> tuple[int, int]:
    """Of an access system: how many users went since then, and how many there were."""
    theirs = acs_users.c.acs_system_id == acs_system_id
    left = theirs & (acs_users.c.deleted_at >= since)
    held = theirs & or_(acs_users.c.deleted_at.is_(None), acs_users.c.deleted_at >= since)
    of_issues = (issue_rows.c.acs_system_id == acs_system_id) & (issue_rows.c.code == "deleted_externally")
    deleted = of_issues & (issue_rows.c.first_seen_at >= since) & issue_rows.c.cleared_at.is_(None)
    numbers = [connection.execute(select(func.count()).where(where)).scalar_one() for where in (left, deleted, held)]
    return int(numbers[0] + numbers[1]), int(numbers[2])


def end_lost_actions(connection: Connection, acs_user_id: str) -> None:
    """Lines of calls whose process died before the answer: the outcome is not known."""
    is_it = (actions.c.acs_user_id == acs_user_id) & (actions.c.endpoint == CREATE) & actions.c.outcome.is_(None)
    lost = {"outcome": "unknown", "reason": "the process ended before the answer", "ended_at": clock.now()}
    connection.execute(update(actions).where(is_it).values(lost))


def _is_gone(gone: Gone) -> bool:
    return gone.deleted_at is not None or "deleted_externally" in codes(gone.observed, "error")


def _is_desired(connection: Connection, acs_user_id: str) -> bool:
    query = select(desired_users.c.acs_user_id).where(desired_users.c.acs_user_id == acs_user_id)
    return connection.execute(query).first() is not None


def _candidates(connection: Connection, acs_user_id: str) -> list[str]:
    found = [issue for issue in issues.open_issues(connection, acs_user_id) if issue["code"] == "recreate_unclear"]
    return [name for issue in found for name in (issue["detail"] or {}).get("candidates", ())]


def _clear_mass(connection: Connection, acs_system_id: str) -> None:
    """The finding about many is over when nobody of the system waits for a person any more."""
    if not many_wait(connection, acs_system_id):
        missing.clear(connection, acs_system_id, "gone")


def _move(connection: Connection, row: Recreation, values: Mapping[str, Any]) -> bool:
    """Only from where it was read: who comes late finds another state, or another intent."""
    is_it = (recreations.c.recreation_id == row.recreation_id) & (recreations.c.state == row.state)
    stamp = recreations.c.intended_at
    is_it &= stamp.is_(None) if row.intended_at is None else stamp == row.intended_at
    return connection.execute(update(recreations).where(is_it).values(dict(values))).rowcount > 0


def _move_desired(connection: Connection, old: str, new: str) -> None:
    query = select(desired_users).where(desired_users.c.acs_user_id == old).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is not None:
        upsert(connection, desired_users, {**row, "acs_user_id": new, "updated_at": clock.now()}, made={})
        connection.execute(desired_users.delete().where(desired_users.c.acs_user_id == old))


def _copy_policy(connection: Connection, old: str, new: str) -> None:
    """What was said about the person holds for them under the new id."""
    query = select(policies).where(policies.c.scope == "user", policies.c.subject_id == old)
    row = connection.execute(query).mappings().one_or_none()
    if row is not None:
        upsert(connection, policies, {**row, "subject_id": new}, made={})


def _read(row: RowMapping) -> Recreation:
    return Recreation(**{**row, "request": row["request"] or {}})
