"""Users as last read: newest observation wins, tombstones stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, union, update

from seamkeeper import clock, user_filters
from seamkeeper.database import acs_users, desired_users, insert_new, plain, upsert
from seamkeeper.desired import desired_of
from seamkeeper.folding import KEYS, search_keys
from seamkeeper.issues import open_issues
from seamkeeper.user_filters import Wanted
from seamkeeper.users import MANAGED_FIELDS, is_same, observed_value

SYNCS = ("in_sync", "drifted", "applying", "paused", "unknown")
HEALTHS = ("ok", "warning", "error", "deleted")
_WRONG_CLOCK = timedelta(minutes=30)  # less than the later looks last: what is closer they outlive
_CHUNK = 1000  # databases limit the number of values in one query


@dataclass(frozen=True, slots=True)
class Standing:
    """What we hold of a user: the raw JSON last read (None: never read, or gone) and how the user stands. `moved`:
    managed field -> `from`, its value before somebody else moved it, and `at`, when that was seen."""

    acs_user_id: str
    observed: Mapping[str, Any] | None
    read_at: datetime | None
    sync: str
    health: str
    drift: Mapping[str, Any]
    is_gone: bool
    moved: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an observation compares: `sync`, the drifted fields as JSON, and one sentence when there is a reason."""

    sync: str
    drift: Mapping[str, Any]
    reason: str | None = None


def standing(connection: Connection, acs_user_id: str) -> Standing:
    """The user's row locked for this transaction, or an empty standing for one we never saw."""
    query = select(acs_users).where(acs_users.c.acs_user_id == acs_user_id).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return Standing(acs_user_id, None, None, "unknown", "ok", {}, is_gone=False)
    is_gone = row["deleted_at"] is not None
    observed = None if is_gone else row["observed"]
    drift, moved = row["drift"] or {}, row["moved"] or {}
    return Standing(acs_user_id, observed, row["read_at"], row["sync"], row["health"], drift, is_gone, moved)


def keep(
    connection: Connection,
    before: Standing,
    raw: Mapping[str, Any],
    verdict: Verdict,
    *,
    health: str,
    read_at: datetime,
    sent: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Writes an observation over an older standing. The caller has made sure that it is newer (`is_newer`). `sent`:
    field -> the value we sent last, by which we know our own hand."""
    row = _row(before.acs_user_id, raw, verdict, health=health, read_at=read_at)
    row["moved"] = _moved(before, raw, sent, read_at) or None
    if raw != before.observed:
        row["changed_at"] = read_at
    upsert(connection, acs_users, row, made={"first_seen_at": read_at, "changed_at": read_at})


def _moved(before: Standing, raw: Mapping[str, Any], sent: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The last value of each field before somebody else moved it; over as soon as we put it right."""
    if before.observed is None:
        return {}
    found = dict(before.moved)
    for name in MANAGED_FIELDS:
        was = observed_value(before.observed, name)
        if is_same(raw, name, was):
            continue
        if name in sent and is_same(raw, name, sent[name]):
            found.pop(name, None)
        else:
            found[name] = {"from": was, "at": clock.iso(at)}
    return found


def _row(
    acs_user_id: str, raw: Mapping[str, Any], verdict: Verdict, *, health: str, read_at: datetime
) -> dict[str, Any]:
    copied = {name: _text(raw.get(name)) for name in _COPIED}
    email = _text(observed_value(raw, "email_address"))
    keys = search_keys(copied["display_name"] or _text(raw.get("full_name")), email, copied["phone_number"])
    return (
        copied
        | dict(zip(KEYS, keys, strict=True))
        | {
            "acs_user_id": acs_user_id,
            "full_name": _text(raw.get("full_name")),
            "email_address": email,
            "is_suspended": raw.get("is_suspended") if isinstance(raw.get("is_suspended"), bool) else None,
            "sync": verdict.sync,
            "drift": dict(verdict.drift),
            "reason": verdict.reason,
            "health": health,
            "observed": dict(raw),
            "read_at": read_at,
            "deleted_at": None,
        }
    )


def bury(
    connection: Connection, acs_user_id: str, *, read_at: datetime, reason: str, system: str | None = None
) -> None:
    """The tombstone: the last observation stays for people, the user is `deleted` and nothing is compared any more."""
    row = {
        "acs_user_id": acs_user_id,
        "sync": "unknown",
        "health": "deleted",
        "drift": {},
        "reason": reason,
        "read_at": read_at,
        "deleted_at": read_at,
        "changed_at": read_at,
    }
    upsert(connection, acs_users, row, made={"first_seen_at": read_at, "acs_system_id": system})


def mark(connection: Connection, acs_user_id: str, verdict: Verdict) -> None:
    """A new verdict over the same observation, such as `applying` after a write."""
    values = {"sync": verdict.sync, "drift": dict(verdict.drift), "reason": verdict.reason}
    connection.execute(update(acs_users).where(acs_users.c.acs_user_id == acs_user_id).values(values))


def system_of(connection: Connection, acs_user_id: str) -> str | None:
    """The access system of a user we hold."""
    query = select(acs_users.c.acs_system_id).where(acs_users.c.acs_user_id == acs_user_id)
    return connection.execute(query).scalar_one_or_none()


def is_newer(before: Standing, read_at: datetime) -> bool:
    """Newer wins: an observation stamped before what we hold never overwrites it (an equal stamp is the same read).

    Except over a stamp that lies ahead by more than the later looks last: a clock was wrong when it was made, and the
    user would not be looked after until that time has come. In a turn the read that was made last is the newer one.
    """
    return before.read_at is None or read_at > before.read_at or before.read_at - read_at > _WRONG_CLOCK


@dataclass(frozen=True, slots=True)
class Held:
    """What we hold of a listed user: the raw JSON (None: never read); whether somebody must look all the same, since
    the user is managed and not settled, or was managed and is no more."""

    observed: Mapping[str, Any] | None
    needs_look: bool
    is_managed: bool
    sync: str


def held_of(connection: Connection, acs_user_ids: Sequence[str], acs_system_id: str) -> dict[str, Held]:
    """The users of one page of an access system's list who are there in the mirror, in that system.

    A look is needed by who is not as desired (drift, an error, something held back), whose desired state is newer than
    our read, or of whom nothing is desired any more.
    """
    joined = acs_users.outerjoin(desired_users, acs_users.c.acs_user_id == desired_users.c.acs_user_id)
    is_managed = desired_users.c.acs_user_id.is_not(None)
    is_stale = or_(desired_users.c.updated_at.is_(None), desired_users.c.updated_at > acs_users.c.read_at)
    is_wrong = or_(acs_users.c.sync != "in_sync", acs_users.c.health == "error", acs_users.c.reason.is_not(None))
    is_open = or_(and_(is_managed, or_(is_wrong, is_stale)), and_(~is_managed, acs_users.c.sync != "unknown"))
    there = (acs_users.c.acs_system_id == acs_system_id) & acs_users.c.deleted_at.is_(None)
    columns = (acs_users.c.acs_user_id, acs_users.c.observed, is_open, is_managed, acs_users.c.sync)
    query = select(*columns).select_from(joined).where(there, acs_users.c.acs_user_id.in_(acs_user_ids))
    return {row[0]: Held(*row[1:]) for row in connection.execute(query).all()}  # at once: half the time of one by one


def known_of(connection: Connection, acs_user_ids: Sequence[str]) -> set[str]:
    """Of these users, of one page, those whom the mirror has a row of (a tombstone, too), or of whom something is
    desired."""
    rows = (
        select(each.c.acs_user_id).where(each.c.acs_user_id.in_(acs_user_ids)) for each in (acs_users, desired_users)
    )
    return set(connection.execute(union(*rows)).scalars())


def keep_new(
    connection: Connection, raws: Sequence[Mapping[str, Any]], verdict: Verdict, *, read_at: datetime
) -> set[str]:
    """Writes users nobody has a row of, healthy and not managed, at once; gives those that were written. Any row that
    is there by now stays: it is newer, or a tombstone."""
    made = {"first_seen_at": read_at, "changed_at": read_at}
    rows = [_row(str(raw["acs_user_id"]), raw, verdict, health="ok", read_at=read_at) | made for raw in raws]
    return set(insert_new(connection, acs_users, rows)) if rows else set()


def page_of_system(
    connection: Connection, acs_system_id: str, *, after: str, seen_before: datetime, limit: int
) -> list[str]:
    """Users of a system who are there and were seen first before a moment, by id, a page at a time."""
    theirs = (acs_users.c.acs_system_id == acs_system_id) & acs_users.c.deleted_at.is_(None)
    since = (acs_users.c.acs_user_id > after) & (acs_users.c.first_seen_at <= seen_before)
    query = select(acs_users.c.acs_user_id).where(theirs, since).order_by(acs_users.c.acs_user_id).limit(limit)
    return list(connection.execute(query).scalars().all())


def count_of_system(connection: Connection, acs_system_id: str) -> int:
    """How many users of a system are there."""
    theirs = (acs_users.c.acs_system_id == acs_system_id) & acs_users.c.deleted_at.is_(None)
    return int(connection.execute(select(func.count()).select_from(acs_users).where(theirs)).scalar_one())


def systems_with_users(connection: Connection) -> list[str]:
    """The access systems of users who are there. From one to the next by the index: there are few, and many users."""
    found: list[str] = []
    last: str | None = ""
    while True:
        query = select(func.min(acs_users.c.acs_system_id)).where(acs_users.c.acs_system_id > last)
        last = connection.execute(query).scalar_one_or_none()
        if last is None:
            return found
        there = (acs_users.c.acs_system_id == last) & acs_users.c.deleted_at.is_(None)
        if connection.execute(select(acs_users.c.acs_user_id).where(there).limit(1)).first():
            found.append(last)


def find_user(connection: Connection, acs_user_id: str) -> dict[str, Any] | None:
    """One user as `users show` gives it: observed, desired, drift, open issues, and how they compare."""
    query = select(acs_users).where(acs_users.c.acs_user_id == acs_user_id)
    row = connection.execute(query).mappings().one_or_none()
    desired = desired_of(connection, acs_user_id)
    if row is None and not desired:
        return None
    shown: dict[str, Any] = {
        "acs_user_id": acs_user_id,
        "acs_system_id": None,
        "sync": "unknown",
        "health": "ok",
        "reason": None,
    }
    shown |= {"observed": None, "drift": {}, "read_at": None, "deleted_at": None, "replaces": None, "replaced_by": None}
    shown |= {name: plain(row[name]) for name in shown} if row is not None else {}
    return shown | {"desired": desired, "issues": open_issues(connection, acs_user_id)}


def list_users(
    connection: Connection,
    *,
    sync: str | None = None,
    health: str | None = None,
    acs_system_id: str | None = None,
    search: str | None = None,
    code: str | None = None,
    managed: bool | None = None,
    is_whole: bool = False,
    after: str = "",
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Users by id, a page at a time: `after` is the last acs_user_id seen. The filters: `user_filters.Wanted`."""
    wanted = Wanted(sync, health, acs_system_id, search, code, managed, is_whole)
    ids = user_filters.page(connection, wanted, after=after, limit=limit)
    names = ("acs_user_id", "acs_system_id", "display_name", "sync", "health", "reason", "drift", "read_at")
    query = select(*(acs_users.c[name] for name in names)).where(acs_users.c.acs_user_id.in_(ids))
    rows = connection.execute(query).mappings()
    found = {row["acs_user_id"]: {name: plain(row[name]) for name in names} for row in rows}
    return [found[acs_user_id] for acs_user_id in ids if acs_user_id in found]


def moved_of(connection: Connection, acs_user_id: str) -> dict[str, Any]:
    """Managed field -> `from` and `at` of its last move by somebody else (`Standing.moved`)."""
    query = select(acs_users.c.moved).where(acs_users.c.acs_user_id == acs_user_id)
    return connection.execute(query).scalar_one_or_none() or {}


def brands_of(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, str]:
    """acs_user_id -> what Seam calls this kind of user (`Salto site user`), for the users of one page."""
    query = select(acs_users.c.acs_user_id, acs_users.c.observed).where(acs_users.c.acs_user_id.in_(acs_user_ids))
    found = {name: brand_of(observed) for name, observed in connection.execute(query)}
    return {name: brand for name, brand in found.items() if brand}


def brand_of(observed: Any) -> str | None:
    """`Salto site user`; None when Seam does not say."""
    return _text(observed.get("external_type_display_name")) if isinstance(observed, Mapping) else None


def display_names(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, str]:
    """acs_user_id -> the name people know, for the users of one page; users without one are left out."""
    query = select(acs_users.c.acs_user_id, acs_users.c.display_name, acs_users.c.full_name)
    rows = connection.execute(query.where(acs_users.c.acs_user_id.in_(acs_user_ids)))
    return {acs_user_id: name for acs_user_id, display, full in rows if (name := display or full)}


def read_times(connection: Connection, acs_user_ids: Sequence[str]) -> dict[str, datetime]:
    """acs_user_id -> when each of these was read last; who never was is left out."""
    found: dict[str, datetime] = {}
    for start in range(0, len(acs_user_ids), _CHUNK):
        some = acs_users.c.acs_user_id.in_(acs_user_ids[start : start + _CHUNK])
        rows = connection.execute(select(acs_users.c.acs_user_id, acs_users.c.read_at).where(some))
        found |= {acs_user_id: read_at for acs_user_id, read_at in rows}  # noqa: C416 (a result has keys: dict reads them)
    return found


def needing_attention(connection: Connection, *, limit: int = 8) -> list[dict[str, Any]]:
    """The users a person should look at, worst first: errors, then drift, pauses and warnings."""
    found: dict[str, dict[str, Any]] = {}
    for column, word in (("health", "error"), ("sync", "drifted"), ("sync", "paused"), ("health", "warning")):
        if len(found) < limit:
            wanted: dict[str, Any] = {column: word}
            for user in list_users(connection, limit=limit, **wanted):
                found.setdefault(user["acs_user_id"], user)
    return list(found.values())[:limit]


def count_users(connection: Connection) -> dict[tuple[str, str], int]:
    """(sync, health) -> how many users stand there, the deleted ones included."""
    query = select(acs_users.c.sync, acs_users.c.health, func.count()).group_by(acs_users.c.sync, acs_users.c.health)
    return {(sync, health): count for sync, health, count in connection.execute(query)}


_COPIED = (
    "acs_system_id", "workspace_id", "connected_account_id", "user_identity_id", "display_name", "phone_number",
)  # fmt: skip


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
