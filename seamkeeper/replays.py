"""Replays: which of the past is worked through once more, how far it is, and what it led to.

A replay walks over what was chosen by key, oldest first, and keeps its place in its row: workers/replay.py takes the
steps, so it goes on without whoever started it, and the row is the audit of who asked for what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, insert, literal, select, text, tuple_, update

from seamkeeper import clock, journal
from seamkeeper.accept import event_job
from seamkeeper.database import acs_users, dead_letters, events, plain, replays
from seamkeeper.event_filters import WEBHOOK, found_named
from seamkeeper.requeue import FORGOTTEN, IDLE, WAITING, Requeue
from seamkeeper.rqjob import job_id_for

STATES = ("running", "stopped", "done")
PAGE = 500

IS_WAITING = "waiting or running already"
UNREADABLE = "cannot be read as an event"
UNKNOWN = "neither a known event or user, nor a dead job"
IS_FORGOTTEN = "RQ has forgotten the job"
BEYOND = "beyond the limit"

Place = list[Any]  # ["events", time, event_id], ["letters", dead_id] or ["ids", how many]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What shall be replayed: ids (of events, users, dead jobs), or all events that fit; with the status `dead` and
    nothing that only events have (nor the kind `event`) also dead users and jobs. `until` is always set: a replay must
    not chase what comes meanwhile. A user is read at Seam, and repaired where they drifted. The filters of events:
    `event_filters`."""

    ids: tuple[str, ...] = ()
    status: str | None = None
    event_type: str | None = None
    acs_user_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    cause: str | None = None
    at_most: int | None = None
    acs_system_id: str | None = None
    source: str | None = None
    search: str | None = None
    tries_at_least: int | None = None
    kind: str | None = None

    @property
    def takes_letters(self) -> bool:
        """Dead users and jobs are meant, too."""
        of_events = self.event_type, self.acs_system_id, self.source, self.search, self.tries_at_least, self.kind
        return self.status == "dead" and not any(of_events)

    def as_json(self) -> dict[str, Any]:
        """As the table keeps it: what was said, and nothing else."""
        found = {name: plain(value) for name, value in asdict(self).items() if value not in (None, ())}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Chosen:
        """Out of the table."""
        times = {name: clock.parse(value[name]) for name in ("since", "until") if value.get(name)}
        return cls(**{**value, "ids": tuple(value.get("ids", ())), **times})


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was chosen: an `event`, a `user`, a dead `job`; `unknown` for an id that is none of them. `at` is
    when it came, or died."""

    kind: str
    subject_id: str
    status: str = ""
    acs_user_id: str | None = None
    at: datetime | None = None

    @property
    def job_id(self) -> str:
        """RQ's job of it; a user's is found by its own marks."""
        return job_id_for(self.subject_id)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay would do. The users are read once each at least, and once for each event at most. `kinds`: how many
    events, users, jobs of those that can be. `is_whole`: all that match were looked at."""

    matched: int
    eligible: int
    why_not: Mapping[str, int]
    users: int
    reads_at_most: int
    kinds: Mapping[str, int] = field(default_factory=dict)
    oldest_at: datetime | None = None
    is_whole: bool = True


def plan(connection: Connection, requeue: Requeue, chosen: Chosen, *, look_at: int | None = None) -> Plan:
    """Counts; nothing is written. Looks at no more than about `look_at` of them, the oldest."""
    matched = eligible = reads = 0
    why_not, users, kinds = Counter[str](), set[str](), Counter[str]()
    oldest_at, is_whole = None, True
    for items in _pages(connection, chosen):
        if look_at is not None and items and matched >= look_at:
            is_whole = False
            break
        matched += len(items)
        for item, obstacle in zip(items, obstacles(requeue, items), strict=True):
            if obstacle is None and chosen.at_most is not None and eligible >= chosen.at_most:
                obstacle = BEYOND
            if obstacle is not None:
                why_not[obstacle] += 1
                continue
            eligible += 1
            kinds[item.kind] += 1
            oldest_at = min(filter(None, (oldest_at, item.at)), default=None)
            if item.acs_user_id:
                users.add(item.acs_user_id)
                reads += 1
    return Plan(matched, eligible, dict(why_not), len(users), reads, dict(kinds), oldest_at, is_whole)


def obstacles(requeue: Requeue, items: list[Item]) -> list[str | None]:
    """Why each cannot be replayed now; None when it can."""
    found = requeue.look([item.job_id for item in items if item.kind in ("event", "job")])
    return [_obstacle(item, found.get(item.job_id, IDLE)) for item in items]


def _obstacle(item: Item, look: int) -> str | None:
    if item.kind == "unknown":
        return UNKNOWN
    if item.kind == "event" and item.status == "quarantined":
        return UNREADABLE
    if item.kind == "job" and look == FORGOTTEN:
        return IS_FORGOTTEN
    return IS_WAITING if look == WAITING else None


def page(
    connection: Connection, chosen: Chosen, place: Place | None, *, limit: int = PAGE
) -> tuple[list[Item], Place | None]:
    """The next ones after a place (None: from the start), and the place after them; None when there are no more."""
    if chosen.ids:
        at = place[1] if place else 0
        ids = chosen.ids[at : at + limit]
        return _named(connection, ids), ["ids", at + len(ids)] if at + len(ids) < len(chosen.ids) else None
    if place is None or place[0] == "events":
        items, place = _events(connection, chosen, place, limit)
        if place is None and chosen.takes_letters:
            place = ["letters", 0]
        return items, place
    return _letters(connection, chosen, place[1], limit)


def start(connection: Connection, chosen: Chosen, found: Plan, *, rate: int, by: str, reason: str | None = None) -> int:
    """The row of a replay that runs from now on; gives its number. Ask the queues for its first step then."""
    now = clock.now()
    row = {
        "chosen": chosen.as_json(), "state": "running", "rate": rate, "matched": found.matched,
        "eligible": found.eligible, "done": 0, "skipped": 0, "asked_by": by, "reason": reason, "asked_at": now,
        "moved_at": now,
    }  # fmt: skip
    result = connection.execute(insert(replays).values(row))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def advance(
    connection: Connection, replay_id: int, place: Place | None, *, done: int, skipped: int, is_over: bool
) -> None:
    """So many more; `place` is where the next step begins."""
    now = clock.now()
    values: dict[str, Any] = {"done": replays.c.done + done, "skipped": replays.c.skipped + skipped}
    values |= {"place": place, "moved_at": now}
    if is_over:
        values |= {"state": "done", "ended_at": now}
    connection.execute(update(replays).where(replays.c.replay_id == replay_id).values(values))


def stop(connection: Connection, replay_id: int) -> bool:
    """It takes no further step; what it queued is done. False when it does not run."""
    return _turn(connection, replay_id, before="running", after="stopped")


def resume(connection: Connection, replay_id: int) -> bool:
    """It goes on where it was. False when it was not stopped. Ask the queues for its next step then."""
    return _turn(connection, replay_id, before="stopped", after="running")


def find(connection: Connection, replay_id: int) -> dict[str, Any] | None:
    """One replay: its row."""
    row = connection.execute(select(replays).where(replays.c.replay_id == replay_id)).mappings().one_or_none()
    return None if row is None else {name: plain(value) for name, value in row.items()}


def running(connection: Connection) -> list[int]:
    """The numbers of those that are neither stopped nor done."""
    is_it = replays.c.state == "running"
    return list(connection.execute(select(replays.c.replay_id).where(is_it)).scalars())


def list_replays(connection: Connection, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Newest first; `before` is the replay_id of the last one seen."""
    query = select(replays).order_by(replays.c.replay_id.desc()).limit(limit)
    if before is not None:
        query = query.where(replays.c.replay_id < before)
    return [{name: plain(value) for name, value in row.items()} for row in connection.execute(query).mappings()]


def again(connection: Connection, requeue: Requeue, event_ids: Sequence[str]) -> int:
    """Makes of these events their ordinary jobs again, from the body as it came; gives how many: those that wait or run
    already are left alone."""
    jobs = [
        event_job(each["event_id"], each["event_type"], each["body"], received_at=each["received_at"], source="replay",
                  delivery=each["delivery_id"] or "")
        for each in journal.bodies(connection, event_ids)
    ]  # fmt: skip
    return sum(answer == IDLE for answer in requeue.events(jobs))


def until_now(chosen: Chosen) -> Chosen:
    """With an end: this moment, unless an earlier one was said."""
    return chosen if chosen.until else replace(chosen, until=clock.now())


def _turn(connection: Connection, replay_id: int, *, before: str, after: str) -> bool:
    is_it = and_(replays.c.replay_id == replay_id, replays.c.state == before)
    values = {"state": after, "moved_at": clock.now()}
    return bool(connection.execute(update(replays).where(is_it).values(values)).rowcount)


def _pages(connection: Connection, chosen: Chosen) -> Iterator[list[Item]]:
    place: Place | None = None
    while True:
        items, place = page(connection, chosen, place)
        yield items
        if place is None:
            return


def _events(connection: Connection, chosen: Chosen, place: Place | None, limit: int) -> tuple[list[Item], Place | None]:
    table = events.c
    query = select(table.event_id, table.received_at, table.status, table.acs_user_id).where(*_wanted(chosen))
    if (named := found_named(connection, chosen.search)) is not None:
        query = query.where(named)
    if place is not None:
        after = literal(clock.parse(place[1]), table.received_at.type), literal(place[2], table.event_id.type)
        query = query.where(tuple_(table.received_at, table.event_id) > tuple_(*after))
    rows = connection.execute(query.order_by(table.received_at, table.event_id).limit(limit)).all()
    items = [Item("event", row.event_id, row.status, row.acs_user_id, row.received_at) for row in rows]
    return items, ["events", clock.iso(rows[-1].received_at), rows[-1].event_id] if len(rows) == limit else None


def _wanted(chosen: Chosen) -> list[Any]:
    table = events.c
    exact = {
        table.status: chosen.status, table.event_type: chosen.event_type, table.acs_user_id: chosen.acs_user_id,
        table.cause: chosen.cause, table.acs_system_id: chosen.acs_system_id, table.source: chosen.source,
    }  # fmt: skip
    found: list[Any] = [column == value for column, value in exact.items() if value is not None]
    # The words of the partial indexes, letter by letter: that is how a planner knows them.
    found += [text("source <> 'webhook'")] if chosen.source not in (None, WEBHOOK) else []
    if chosen.tries_at_least is not None and chosen.tries_at_least > 1:
        found += [text("tries >= 2"), table.tries >= chosen.tries_at_least]
    found += [table.received_at >= chosen.since] if chosen.since else []
    found += [table.received_at <= chosen.until] if chosen.until else []
    return found


def _letters(connection: Connection, chosen: Chosen, after: int, limit: int) -> tuple[list[Item], Place | None]:
    table = dead_letters.c
    query = select(table.dead_id, table.kind, table.subject_id, table.acs_user_id, table.first_at).where(
        table.ended_at.is_(None), table.dead_id > after, table.kind != "event"
    )
    exact = {table.acs_user_id: chosen.acs_user_id, table.cause: chosen.cause}
    query = query.where(*(column == value for column, value in exact.items() if value is not None))
    query = query.where(*([table.died_at >= chosen.since] if chosen.since else []))
    query = query.where(*([table.died_at <= chosen.until] if chosen.until else []))
    rows = connection.execute(query.order_by(table.ended_at, table.dead_id).limit(limit)).all()
    items = [Item(row.kind, row.subject_id, "dead", row.acs_user_id, row.first_at) for row in rows]
    return items, ["letters", rows[-1].dead_id] if len(rows) == limit else None


def _named(connection: Connection, ids: tuple[str, ...]) -> list[Item]:
    columns = events.c.event_id, events.c.status, events.c.acs_user_id, events.c.received_at
    of_events = connection.execute(select(*columns).where(events.c.event_id.in_(ids)))
    found = {name: Item("event", name, status, acs_user_id, at) for name, status, acs_user_id, at in of_events}
    table = dead_letters.c
    is_dead = and_(table.kind.in_(("user", "job")), table.subject_id.in_(ids), table.ended_at.is_(None))
    for kind, name, acs_user_id in connection.execute(
        select(table.kind, table.subject_id, table.acs_user_id).where(is_dead)
    ):
        found.setdefault(name, Item(kind, name, "dead", acs_user_id))
    people = connection.execute(select(acs_users.c.acs_user_id).where(acs_users.c.acs_user_id.in_(ids))).scalars()
    for name in people:
        found.setdefault(name, Item("user", name, "", name))
    return [found.get(name, Item("unknown", name)) for name in ids]
