"""Which users fit a filter, by id, and whom a search finds: every part of it is a place in an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, and_, exists, select, union

from seamkeeper.database import acs_users, desired_users, issues
from seamkeeper.folding import BEYOND, KEYS, digits, folded

_MOST_FOUND, _MOST_SIFTED = 500, 3000  # by a search alone, and by one whose users must fit other filters, too


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None is any. `code`: of an open issue. `managed`: something is desired of them; of those who
    are not, users whom the next read will show so are not yet among them. `search`, `is_whole`: as `found_by`."""

    sync: str | None = None
    health: str | None = None
    acs_system_id: str | None = None
    search: str | None = None
    code: str | None = None
    managed: bool | None = None
    is_whole: bool = False


def page(connection: Connection, wanted: Wanted, *, after: str, limit: int) -> list[str]:
    """The next ids behind one."""
    return [row.acs_user_id for row in connection.execute(_ids(wanted, after).limit(limit))]


def found_by(search: str, *, is_whole: bool = False, at_most: int = _MOST_FOUND) -> CompoundSelect[tuple[str]]:
    """The ids of users whose id, name, last name, e-mail address or telephone number begins so; of each at most that
    many. Every part is a range of an index. `is_whole`: of the words about people only whole ones are found, for who
    may not see them: by beginnings a telephone number could be had digit by digit."""
    beginnings = dict.fromkeys(KEYS, folded(search)) | {"phone_key": digits(search)}
    if set(search) - set("+()-./ 0123456789"):  # the 7 in `room 7` is no telephone number
        del beginnings["phone_key"]
    wanted = [(acs_users.c[name], text) for name, text in beginnings.items() if text]
    wanted.append((acs_users.c.acs_user_id, search))
    parts = (
        select(acs_users.c.acs_user_id)
        .where(column == text if is_whole and column.name in KEYS else _begins(column, text))
        .order_by(column)
        .limit(at_most)
        for column, text in wanted
    )
    return union(*(select(part.subquery().c.acs_user_id) for part in parts))


def _begins(column: Any, text: str) -> ColumnElement[bool]:
    # ids stand in the language of the database, where BEYOND may count for nothing
    return and_(column >= text, column < text + (BEYOND if column.name in KEYS else "z" * 8))


def _ids(wanted: Wanted, after: str) -> Select[Any]:
    conditions = [*_standing(wanted), *_wish(wanted)]
    if wanted.code is not None:
        return _with_code(wanted, conditions, after)
    if wanted.search:
        most = _MOST_SIFTED if conditions else _MOST_FOUND
        found = found_by(wanted.search, is_whole=wanted.is_whole, at_most=most)
        conditions.append(acs_users.c.acs_user_id.in_(found))
    query = select(acs_users.c.acs_user_id).where(acs_users.c.acs_user_id > after, *conditions)
    return query.order_by(acs_users.c.acs_user_id)


def _with_code(wanted: Wanted, conditions: Sequence[ColumnElement[bool]], after: str) -> Select[Any]:
    """Along the issues: an open code is a place in their index, with the users in order."""
    is_one = (issues.c.code == wanted.code) & issues.c.cleared_at.is_(None) & (issues.c.acs_user_id > after)
    query = select(issues.c.acs_user_id).distinct().where(is_one).order_by(issues.c.acs_user_id)
    if wanted.search:
        found = found_by(wanted.search, is_whole=wanted.is_whole, at_most=_MOST_SIFTED)
        query = query.where(issues.c.acs_user_id.in_(found))
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
