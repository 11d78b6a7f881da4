"""Which users fit a filter, by id, and whom a search finds: every part of it is a place in an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, exists, func, select, union

from seamkeeper.database import acs_users, desired_users, issues
from seamkeeper.folding import BEYOND, KEYS, digits, folded

_MOST_FOUND, _MOST_SIFTED = 500, 3000  # by a search alone, and by one whose users must fit other filters, too


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None is any. `code`: of an open issue. `managed`: something is desired of them; of those who
    are not, users whom the next read will show so are not yet among them. `search`: as `found_by`."""

    sync: str | None = None
    health: str | None = None
    acs_system_id: str | None = None
    search: str | None = None
    code: str | None = None
    managed: bool | None = None


def page(connection: Connection, wanted: Wanted, *, after: str, limit: int) -> list[str]:
    """The next ids behind one."""
    return [row.acs_user_id for row in connection.execute(_ids(wanted, after).limit(limit))]


def count(connection: Connection, wanted: Wanted, *, at_most: int) -> int:
    """How many fit; counting ends at `at_most`."""
    some = _ids(wanted, "").limit(at_most).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def found_by(search: str, *, at_most: int = _MOST_FOUND) -> CompoundSelect[tuple[str]]:
    """The ids of users whose id, name, last name, e-mail address or telephone number begins so; of each at most that
    many. Every part is a range of an index."""
    beginnings = dict.fromkeys(KEYS, folded(search)) | {"phone_key": digits(search)}
    if set(search) - set("+()-./ 0123456789"):  # the 7 in `room 7` is no telephone number
        del beginnings["phone_key"]
    wanted = [(acs_users.c[name], text) for name, text in beginnings.items() if text]
    wanted.append((acs_users.c.acs_user_id, search))
    beyond = {acs_users.c.acs_user_id: "z" * 8}  # in the language of the database, where BEYOND may count for nothing
    parts = (
        select(acs_users.c.acs_user_id)
        .where(column >= text, column < text + beyond.get(column, BEYOND))
        .order_by(column)
        .limit(at_most)
        for column, text in wanted
    )
    return union(*(select(part.subquery().c.acs_user_id) for part in parts))


def _ids(wanted: Wanted, after: str) -> Select[Any]:
    conditions = [*_standing(wanted), *_wish(wanted)]
    if wanted.code is not None:
        return _with_code(wanted.code, conditions, wanted.search, after)
    if wanted.search:
        found = found_by(wanted.search, at_most=_MOST_SIFTED if conditions else _MOST_FOUND)
        conditions.append(acs_users.c.acs_user_id.in_(found))
    query = select(acs_users.c.acs_user_id).where(acs_users.c.acs_user_id > after, *conditions)
    return query.order_by(acs_users.c.acs_user_id)


def _with_code(code: str, conditions: Sequence[ColumnElement[bool]], search: str | None, after: str) -> Select[Any]:
    """Along the issues: an open code is a place in their index, with the users in order."""
    is_one = (issues.c.code == code) & issues.c.cleared_at.is_(None) & (issues.c.acs_user_id > after)
    query = select(issues.c.acs_user_id).distinct().where(is_one).order_by(issues.c.acs_user_id)
    if search:
        query = query.where(issues.c.acs_user_id.in_(found_by(search, at_most=_MOST_SIFTED)))
    is_them = acs_users.c.acs_user_id == issues.c.acs_user_id
    return query.where(exists(select(acs_users.c.acs_user_id).where(is_them, *conditions).correlate(issues)))


def _standing(wanted: Wanted) -> list[ColumnElement[bool]]:
    asked = {"sync": wanted.sync, "health": wanted.health, "acs_system_id": wanted.acs_system_id}
    return [acs_users.c[name] == value for name, value in asked.items() if value is not None]


def _wish(wanted: Wanted) -> list[ColumnElement[bool]]:
    """Of whom nothing is desired, nothing can be said of the sync, and there are not many others like that: an index
    leads to them."""
    if wanted.managed is None:
        return []
    is_theirs = desired_users.c.acs_user_id == acs_users.c.acs_user_id
    is_desired = exists(select(desired_users.c.acs_user_id).where(is_theirs).correlate(acs_users))
    if wanted.managed:
        return [is_desired]
    return [acs_users.c.sync == "unknown", acs_users.c.health != "deleted", ~is_desired]
