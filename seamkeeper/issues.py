"""What is wrong with whom, from the day it was seen until it clears.

One open issue per user (or access system) and code. `error` and `warning` are Seam's codes, read on the user; a
`finding` is ours: something a person must decide, with the facts in `detail`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, insert, select, update

from seamkeeper import clock
from seamkeeper.database import desired_users, issues, plain_row
from seamkeeper.users import codes, system_of

# Our findings: code -> what it means, for people.
FINDINGS = {
    "another_writer": "A value that we put right was changed again and again: somebody else writes it too",
    "cannot_be_set": "What is desired cannot be set through Seam's API",
    "desired_is_wrong": "What is desired would be refused by Seam",
    "update_keeps_failing": "The access system refused the same values again and again",
    "recreate_wanted": "The user is gone and still desired: a person decides whether to make a new one",
    "recreate_unclear": "A new user was asked for and the answer was lost: a person looks whether there is one",
    "too_many_missing": "Many users of the access system are missing at once: nothing was done about them",
    "webhook_silent": "Seam has events, and no delivery brings them",
    "clock_skew": "Our clock and Seam's differ: signatures are refused from five minutes on",
    "redis_unsafe": "Redis is not set up to keep what was accepted",
    "redis_forgot": "Redis lost what it held: everything is looked at anew",
    "webhook_missing": "No webhook at Seam has our address: no event reaches us",
    "webhook_narrowed": "Our webhook at Seam does not bring all event types that we react to",
    "webhook_duplicated": "Several webhooks at Seam have our address: each event comes several times",
    "webhook_secret_unknown": "Seam signs for our address with a secret that we do not have",
    "seam_refuses_us": "Seam does not accept our API key: nothing is read or repaired until it does",
    "circuit_open": "Calls about the users of this access system keep failing: they wait",
}

OF_THE_GONE = ("recreate_wanted", "recreate_unclear")  # findings about users who are not there any more

LEFT_TO_A_PERSON = ("another_writer", "update_keeps_failing")  # of single fields: nothing more is sent for them

_MOST_CODE = 200  # characters of a code; Seam's are words, a stranger's may be anything


def keep_codes(
    connection: Connection, acs_user_id: str, raw: Mapping[str, Any] | None, *, expected: Sequence[str] = ()
) -> None:
    """Opens an issue per error or warning code that is present, and clears those that are gone; `raw` None stands for
    a user who is gone: then only the findings about a new one stay. `expected` are codes that are as they should be (a
    warning that the schedule explains)."""
    at = clock.now()
    is_open = _of_user(acs_user_id) & (issues.c.kind != "finding")
    known = {(row.kind, row.code): row.issue_id for row in connection.execute(select(issues).where(is_open))}
    present = {
        (kind, code[:_MOST_CODE]): entry
        for kind in ("error", "warning")
        for code, entry in codes(raw or {}, kind).items()
        if code not in expected
    }
    system = system_of(raw) if raw else None
    for (kind, code), entry in present.items():
        seen = {"message": str(entry.get("message") or ""), "last_seen_at": at}
        if (kind, code) in known:
            _update(connection, known[kind, code], seen)
            continue
        row = {"acs_user_id": acs_user_id, "acs_system_id": system, "kind": kind, "code": code, "first_seen_at": at}
        connection.execute(insert(issues).values(**row, **seen, raised_at=str(entry.get("created_at") or "")))
    gone = [issue_id for key, issue_id in known.items() if key not in present]
    if raw is None:
        over = _of_user(acs_user_id) & issues.c.code.not_in(OF_THE_GONE)
        gone += [row.issue_id for row in connection.execute(select(issues.c.issue_id).where(over))]
    if gone:
        connection.execute(update(issues).where(issues.c.issue_id.in_(gone)).values(cleared_at=at))


def raise_finding(
    connection: Connection, code: str, *, acs_user_id: str | None = None, acs_system_id: str | None = None,
    message: str, detail: Any = None,
) -> bool:  # fmt: skip
    """Opens a finding about a user, or with only `acs_system_id` about an access system; True when it was not open."""
    at = clock.now()
    seen = {"message": message, "detail": detail, "last_seen_at": at}
    is_it = _of_finding(code, acs_user_id, acs_system_id)
    open_id = connection.execute(select(issues.c.issue_id).where(is_it)).scalars().first()
    if open_id is not None:
        _update(connection, open_id, seen)
        return False
    row = {"acs_user_id": acs_user_id, "acs_system_id": acs_system_id, "kind": "finding", "code": code}
    connection.execute(insert(issues).values(**row, **seen, first_seen_at=at))
    return True


def clear_finding(
    connection: Connection, code: str, *, acs_user_id: str | None = None, acs_system_id: str | None = None
) -> bool:
    """What was found is over; True when it was open."""
    is_it = _of_finding(code, acs_user_id, acs_system_id)
    return connection.execute(update(issues).where(is_it).values(cleared_at=clock.now())).rowcount > 0


def acknowledge(connection: Connection, issue_id: int, *, by: str) -> bool:
    """Somebody takes care of it; False when there is no such open issue."""
    values = {"acknowledged_at": clock.now(), "acknowledged_by": by, "snoozed_until": None}
    return _handle(connection, issue_id, values)


def snooze(connection: Connection, issue_id: int, *, until: datetime, by: str) -> bool:
    """Not to be shown among what needs attention until then; False when there is no such open issue."""
    values = {"snoozed_until": until, "acknowledged_by": by, "acknowledged_at": clock.now()}
    return _handle(connection, issue_id, values)


def find_issue(connection: Connection, issue_id: int) -> dict[str, Any] | None:
    """One issue, open or cleared."""
    row = connection.execute(select(issues).where(issues.c.issue_id == issue_id)).mappings().one_or_none()
    return None if row is None else _as_json(row)


def list_issues(
    connection: Connection, *, code: str | None = None, acs_system_id: str | None = None, is_cleared: bool = False,
    needs_attention: bool = False, before: int | None = None, limit: int = 50,
) -> list[dict[str, Any]]:  # fmt: skip
    """Open issues (or cleared ones), newest first, a page at a time: `before` is the last issue_id seen.
    `needs_attention`: neither acknowledged nor snoozed now."""
    query = select(issues.c.issue_id).where(
        issues.c.cleared_at.is_not(None) if is_cleared else issues.c.cleared_at.is_(None)
    )
    if code is not None:
        query = query.where(issues.c.code == code)
    if acs_system_id is not None:
        query = query.where(issues.c.acs_system_id == acs_system_id)
    if needs_attention:
        query = query.where(issues.c.acknowledged_at.is_(None) | (issues.c.snoozed_until <= clock.now()))
    if before is not None:
        query = query.where(issues.c.issue_id < before)
    # Their numbers alone, then the rows: what does not fit is read in an index. The cleared ones of a code are sorted:
    # in the order of all the others a rare code would be looked for from end to end.
    order = issues.c.issue_id + 0 if is_cleared and code is not None else issues.c.issue_id
    ids = connection.execute(query.order_by(order.desc()).limit(limit)).scalars().all()
    rows = connection.execute(select(issues).where(issues.c.issue_id.in_(ids)).order_by(issues.c.issue_id.desc()))
    return [_as_json(row) for row in rows.mappings()]


def open_issues(connection: Connection, acs_user_id: str) -> list[dict[str, Any]]:
    """What is open on a user now, oldest first."""
    rows = connection.execute(select(issues).where(_of_user(acs_user_id)).order_by(issues.c.issue_id)).mappings()
    return [_as_json(row) for row in rows]


def of_the_house(connection: Connection) -> list[dict[str, Any]]:
    """Open findings about no user and no access system but the service itself, oldest first."""
    is_one = issues.c.acs_user_id.is_(None) & issues.c.acs_system_id.is_(None) & issues.c.cleared_at.is_(None)
    rows = connection.execute(select(issues).where(is_one).order_by(issues.c.issue_id)).mappings()
    return [_as_json(row) for row in rows]


def open_codes(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, list[str]]:
    """acs_user_id -> the codes open on that user, for the users of one page; those without any are left out."""
    is_theirs = issues.c.acs_user_id.in_(acs_user_ids) & issues.c.cleared_at.is_(None)
    query = select(issues.c.acs_user_id, issues.c.code).where(is_theirs).order_by(issues.c.issue_id)
    found: dict[str, list[str]] = {}
    for acs_user_id, code in connection.execute(query):
        found.setdefault(acs_user_id, []).append(code)
    return found


def users_with(connection: Connection, code: str, acs_system_id: str, *, limit: int) -> list[str]:
    """Users of an access system on whom a code is open, those who wait longest first; of whom nothing is desired, or
    who is left to a person, waits for nothing that we could send, and stands in nobody's way."""
    is_theirs = (issues.c.code == code) & (issues.c.acs_system_id == acs_system_id) & issues.c.cleared_at.is_(None)
    others = issues.alias()
    is_left = (others.c.acs_user_id == issues.c.acs_user_id) & others.c.code.in_(LEFT_TO_A_PERSON)
    given_up = select(others.c.issue_id).where(is_left, others.c.kind == "finding", others.c.cleared_at.is_(None))
    desired = select(desired_users.c.acs_user_id).where(desired_users.c.acs_user_id == issues.c.acs_user_id)
    query = select(issues.c.acs_user_id).where(is_theirs, desired.exists(), ~given_up.exists())
    return list(connection.execute(query.order_by(issues.c.issue_id).limit(limit)).scalars())


def users_with_any(connection: Connection, acs_user_ids: Sequence[str]) -> set[str]:
    """Of these users, of one page, those with an open issue of any kind."""
    is_theirs = issues.c.acs_user_id.in_(acs_user_ids) & issues.c.cleared_at.is_(None)
    return set(connection.execute(select(issues.c.acs_user_id).where(is_theirs)).scalars())


def is_finding_open(connection: Connection, code: str, *, acs_system_id: str | None = None) -> bool:
    """True while a finding about an access system (or, without one, about the whole deployment) is open."""
    is_it = _of_finding(code, None, acs_system_id)
    return connection.execute(select(issues.c.issue_id).where(is_it)).first() is not None


def count_open(connection: Connection) -> dict[str, int]:
    """Code -> on how many users (or access systems) it is open."""
    query = select(issues.c.code, func.count().label("number")).where(issues.c.cleared_at.is_(None))
    return {row.code: row.number for row in connection.execute(query.group_by(issues.c.code))}


def state_of(issue: Mapping[str, Any], *, at: datetime) -> str:
    """`open`, `acknowledged`, `snoozed` or `cleared`, of an issue as the functions above give it."""
    if issue["cleared_at"]:
        return "cleared"
    if issue["snoozed_until"]:
        return "snoozed" if clock.parse(issue["snoozed_until"]) > at else "open"
    return "acknowledged" if issue["acknowledged_at"] else "open"


def _of_user(acs_user_id: str) -> ColumnElement[bool]:
    return (issues.c.acs_user_id == acs_user_id) & issues.c.cleared_at.is_(None)


def _of_finding(code: str, acs_user_id: str | None, acs_system_id: str | None) -> ColumnElement[bool]:
    is_theirs = (
        issues.c.acs_user_id == acs_user_id
        if acs_user_id
        else and_(issues.c.acs_user_id.is_(None), issues.c.acs_system_id == acs_system_id)
    )
    return is_theirs & (issues.c.kind == "finding") & (issues.c.code == code) & issues.c.cleared_at.is_(None)


def _handle(connection: Connection, issue_id: int, values: Mapping[str, Any]) -> bool:
    is_it = (issues.c.issue_id == issue_id) & issues.c.cleared_at.is_(None)
    return connection.execute(update(issues).where(is_it).values(values)).rowcount > 0


def _update(connection: Connection, issue_id: int, values: Mapping[str, Any]) -> None:
    connection.execute(update(issues).where(issues.c.issue_id == issue_id).values(values))


def _as_json(row: RowMapping) -> dict[str, Any]:
    found = plain_row(row)
    return found | {"state": state_of(found, at=clock.now())}
