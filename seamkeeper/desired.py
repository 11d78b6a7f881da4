"""What the operator wants of each user, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, String, delete, select, type_coerce

from seamkeeper import clock
from seamkeeper.columns import JSON_NULL
from seamkeeper.database import acs_users, desired_users, upsert, upsert_all
from seamkeeper.users import MANAGED_FIELDS, UPDATABLE_FIELDS, mistakes, observed_value


def desired_of(connection: Connection, acs_user_id: str) -> dict[str, Any]:
    """Managed field -> wanted value; a field without a value is left out."""
    wanted = [desired_users.c[name] for name in MANAGED_FIELDS]  # who wrote it when may be in any form: not ours
    query = select(*wanted).where(desired_users.c.acs_user_id == acs_user_id)
    row = connection.execute(query).mappings().one_or_none()
    return {} if row is None else _desired(row)


def set_desired(connection: Connection, acs_user_id: str, values: Mapping[str, Any], *, by: str) -> None:
    """Adds to what is wanted of a user; other fields stay. `None` for access_schedule means "no schedule"."""
    row: dict[str, Any] = {name: JSON_NULL if value is None else value for name, value in values.items()}
    row |= {"acs_user_id": acs_user_id, "updated_at": clock.now(), "updated_by": by}
    upsert(connection, desired_users, row, made={})


def replace_desired(connection: Connection, acs_user_id: str, values: Mapping[str, Any], *, by: str) -> bool:
    """Makes this what is wanted of a user, whole: other fields are not managed any more. False when it was so already:
    then nothing is written, and who wrote it last stays."""
    return bool(replace_many(connection, {acs_user_id: values}, by=by))


def replace_many(connection: Connection, wanted: Mapping[str, Mapping[str, Any]], *, by: str) -> list[str]:
    """Makes this (acs_user_id -> values, at most some thousand users) what is wanted of each, whole: other fields are
    not managed any more. Gives the users of whom it was not so already; of the others nothing is written, and who wrote
    it last stays."""
    columns = [desired_users.c[name] for name in ("acs_user_id", *MANAGED_FIELDS)]
    theirs = desired_users.c.acs_user_id.in_(wanted)
    query = select(*columns).where(theirs).order_by(desired_users.c.acs_user_id).with_for_update()
    held = {row["acs_user_id"]: _desired(row) for row in connection.execute(query).mappings()}
    changed = [name for name in sorted(wanted) if held.get(name) != dict(wanted[name])]  # two lock in the same order
    about = {"updated_at": clock.now(), "updated_by": by}
    rows = [{"acs_user_id": name, **about, **_row(wanted[name])} for name in changed]
    if rows:
        upsert_all(connection, desired_users, rows)
    return changed


def list_desired(connection: Connection, *, after: str = "", limit: int = 50) -> list[tuple[str, dict[str, Any]]]:
    """(acs_user_id, what is wanted), by id, a page at a time: `after` is the last id seen."""
    columns = [desired_users.c[name] for name in ("acs_user_id", *MANAGED_FIELDS)]
    query = select(*columns).where(desired_users.c.acs_user_id > after).order_by(desired_users.c.acs_user_id)
    return [(row["acs_user_id"], _desired(row)) for row in connection.execute(query.limit(limit)).mappings()]


def forget_desired(connection: Connection, acs_user_id: str) -> bool:
    """Stops managing a user; False when nothing was desired."""
    result = connection.execute(delete(desired_users).where(desired_users.c.acs_user_id == acs_user_id))
    return result.rowcount > 0


def stamp_of(connection: Connection, acs_user_id: str) -> tuple[datetime | None, str | None]:
    """When what is desired of a user was written last, and by whom; None for what an application left out, or wrote in
    a form that is no time."""
    columns = type_coerce(desired_users.c.updated_at, String), desired_users.c.updated_by
    row = connection.execute(select(*columns).where(desired_users.c.acs_user_id == acs_user_id)).one_or_none()
    return (None, None) if row is None else (_instant(row[0]), row[1])


def writers_of(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, str]:
    """acs_user_id -> who wrote what is desired (empty: an application that does not say), for the users of one page."""
    query = select(desired_users.c.acs_user_id, desired_users.c.updated_by)
    rows = connection.execute(query.where(desired_users.c.acs_user_id.in_(acs_user_ids)))
    return {acs_user_id: by or "" for acs_user_id, by in rows}


def managed_ids(connection: Connection, *, acs_system_id: str | None = None) -> list[str]:
    """Users of whom something is desired, without those who are known to be gone; of one access system, or of all."""
    joined = desired_users.outerjoin(acs_users, acs_users.c.acs_user_id == desired_users.c.acs_user_id)
    query = select(desired_users.c.acs_user_id).select_from(joined).where(acs_users.c.deleted_at.is_(None))
    if acs_system_id is not None:
        query = query.where(acs_users.c.acs_system_id == acs_system_id)
    return list(connection.execute(query.order_by(desired_users.c.acs_user_id)).scalars())


def ids_to_adopt(connection: Connection, *, only_unmanaged: bool = False) -> list[str]:
    """Users that are there and read: those whose observed state can become the desired one."""
    query = select(acs_users.c.acs_user_id).where(acs_users.c.deleted_at.is_(None), acs_users.c.observed.is_not(None))
    if only_unmanaged:
        managed = select(desired_users.c.acs_user_id).where(desired_users.c.acs_user_id == acs_users.c.acs_user_id)
        query = query.where(~managed.exists())
    return list(connection.execute(query).scalars())


def adopt(connection: Connection, acs_user_id: str, *, by: str) -> dict[str, str] | None:
    """Takes the observed state of a user as the desired one; whether the user is suspended only if that is desired by
    name: who adopts a building does not mean to undo the next suspension at the desk.

    Gives the fields that could not be taken, with what is wrong with them (Seam would refuse them if they were sent
    back: a masked number, an open end); None when the user is not known or gone.
    """
    observed = _live(connection, acs_user_id)
    if not observed:
        return None
    values = _values_of(observed, UPDATABLE_FIELDS)
    wrong = mistakes(values, at=clock.now())
    good = {name: value for name, value in values.items() if name not in wrong}
    if good:
        set_desired(connection, acs_user_id, good, by=by)
    return wrong


@dataclass(frozen=True, slots=True)
class Accepted:
    """`wrong`: field -> why its live value could not be taken, so what was desired stays; `let_go`: fields that are not
    managed any more, since Seam shows no value."""

    wrong: dict[str, str]
    let_go: list[str]


def accept(connection: Connection, acs_user_id: str, *, by: str) -> Accepted | None:
    """Makes what Seam shows of one user what is desired, so that nothing differs afterwards: also where a value is gone
    there, and also a suspension, if that was managed. None when the user is not known or gone."""
    observed = _live(connection, acs_user_id)
    if not observed:
        return None
    held = desired_of(connection, acs_user_id)
    values = _values_of(observed, (*UPDATABLE_FIELDS, *held))
    if "access_schedule" in held:
        values.setdefault("access_schedule", None)  # of this field alone nothing can be desired
    wrong = mistakes(values, at=clock.now())
    wanted = {name: value for name, value in values.items() if name not in wrong}
    wanted |= {name: held[name] for name in wrong if name in held}
    if wanted:
        replace_desired(connection, acs_user_id, wanted, by=by)
    elif held:
        forget_desired(connection, acs_user_id)
    return Accepted(wrong, [name for name in held if name not in values])


def hold(connection: Connection, acs_user_id: str) -> None:
    """Whoever else writes what is desired of this user waits until this transaction ends: it can be compared first."""
    connection.execute(
        select(desired_users.c.acs_user_id).where(desired_users.c.acs_user_id == acs_user_id).with_for_update()
    )


def _live(connection: Connection, acs_user_id: str) -> Any:
    """What Seam showed last of a user who is there."""
    query = select(acs_users.c.observed).where(acs_users.c.acs_user_id == acs_user_id, acs_users.c.deleted_at.is_(None))
    return connection.execute(query).scalar_one_or_none()


def _values_of(observed: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    values = {name: observed_value(observed, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    """All fields: those without a value are not managed."""
    return {name: JSON_NULL if name in values and values[name] is None else values.get(name) for name in MANAGED_FIELDS}


def _desired(row: RowMapping) -> dict[str, Any]:
    return {name: None if row[name] is JSON_NULL else row[name] for name in MANAGED_FIELDS if row[name] is not None}


def _instant(value: Any) -> datetime | None:
    """As a driver gives it, of a column that another program may have written in any form."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
