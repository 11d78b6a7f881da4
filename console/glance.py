"""Is it fine, or not? What the overview and `seamkeeper status` show, read once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, func, select

from console.web import work
from console.web.state import Console
from seamkeeper import attempts, clock, dead, issues, journal, mirror, registration, resyncs, seam_limits
from seamkeeper.accept import WEBHOOK
from seamkeeper.database import acs_users
from seamkeeper.database import issues as issue_rows
from seamkeeper.keys import Keys
from seamkeeper.registration import Registration
from seamkeeper.resyncs import Rhythm

_HOUR = timedelta(minutes=60)
_LATEST, _ATTENTION = 8, 8


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries that ended in the last hour: all, those that come again, those that were given up, and the failed ones of
    each minute, oldest first."""

    ended: int
    again: int
    dead: int
    failed_per_minute: list[int]

    @property
    def share(self) -> float:
        """Of failed ones, 0 to 1."""
        return (self.again + self.dead) / self.ended if self.ended else 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What the database says."""

    received: dict[str, int]
    per_minute: list[int]
    tries: Tries
    dead: int
    causes: list[dict[str, Any]]
    latest: list[dict[str, Any]]
    names: dict[str, str]
    syncs: dict[str, int]
    healths: dict[str, int]
    users: int
    attention: list[dict[str, Any]]
    house: list[dict[str, Any]]
    webhook: Registration
    rhythms: list[Rhythm]


@dataclass(frozen=True, slots=True)
class Working:
    """What Redis says. `rejected`: requests of the last hour that were refused, by why; of the last hundred only."""

    queues: list[work.QueueState]
    workers: list[work.WorkerState]
    is_paused: bool
    has_scheduler: bool
    delivered_at: datetime | None
    rejected: dict[str, int]
    accepted: int
    api_calls: int
    api_refused: int
    rate: float | None

    def count(self, state: str) -> int:
        """Jobs in one state, all queues together."""
        return sum(queue.counts[state] for queue in self.queues)

    @property
    def oldest_age(self) -> float | None:
        """Seconds that the longest waiting job has waited; jobs of a paused queue wait for a person."""
        ages = [queue.oldest_age for queue in self.queues if queue.oldest_age is not None and not queue.is_paused]
        return max(ages, default=None)

    @property
    def alive(self) -> list[work.WorkerState]:
        """The workers whose heartbeat goes on."""
        return [worker for worker in self.workers if worker.state != "lost"]

    @property
    def versions(self) -> list[str]:
        """Of Seamkeeper, among them."""
        return sorted({worker.version for worker in self.alive if worker.version})


def read_kept(console: Console) -> Kept:
    """Some fifteen short queries."""
    now = clock.now()
    with console.reading() as connection:
        latest = journal.list_events(connection, limit=_LATEST)
        users = mirror.count_users(connection)
        attention = mirror.needing_attention(connection, limit=_ATTENTION)
        return Kept(
            received=journal.count_since(connection, now - _HOUR),
            per_minute=journal.received_per_minute(connection, now - _HOUR),
            tries=_tries(connection, now - _HOUR),
            dead=dead.count_open(connection, at_most=1000),
            causes=dead.groups(connection),
            latest=latest,
            names=mirror.display_names(connection, [row["acs_user_id"] for row in latest if row["acs_user_id"]]),
            syncs=_sum(users, 0, mirror.SYNCS),
            healths=_sum(users, 1, mirror.HEALTHS),
            users=sum(count for (_, health), count in users.items() if health != "deleted"),
            attention=_with_since(connection, attention),
            house=issues.of_the_house(connection),
            webhook=registration.read(connection),
            rhythms=resyncs.rhythms(connection),
        )


def _tries(connection: Connection, since: datetime) -> Tries:
    """Of events, changes and users; what was only postponed did not fail."""
    numbers = attempts.count_since(connection, since)
    ok, again, given_up = (numbers.get(outcome, 0) for outcome in ("ok", "retry", "dead"))
    return Tries(ok + again + given_up, again, given_up, attempts.failed_per_minute(connection, since))


def read_working(console: Console) -> Working:
    """Some twenty short commands."""
    redis, keys = console.redis, Keys(console.settings.redis_key_prefix)
    fields = cast(dict[bytes, bytes], redis.hgetall(keys.counters()))
    counters = {name.decode(errors="replace"): int(value) for name, value in fields.items() if value.isdigit()}
    at = counters.get(f"{WEBHOOK}_at")
    calls = {name: number for name, number in counters.items() if name.startswith("seam_api_requests:")}
    return Working(
        queues=work.queue_states(redis),
        workers=work.workers(redis),
        is_paused=work.is_paused(redis),
        has_scheduler=bool(work.schedulers(redis)),
        delivered_at=datetime.fromtimestamp(at, UTC) if at else None,
        rejected=_rejected(cast(list[bytes], redis.lrange(keys.rejected(), 0, -1)), clock.now() - _HOUR),
        accepted=counters.get(f"{WEBHOOK}:accepted", 0),
        api_calls=sum(calls.values()),
        api_refused=sum(number for name, number in calls.items() if name.endswith(":429")),
        rate=seam_limits.present_rate(redis, keys),
    )


def _sum(users: dict[tuple[str, str], int], place: int, order: tuple[str, ...]) -> dict[str, int]:
    """One of the two words of each user, counted. A deleted user has no sync any more."""
    totals: dict[str, int] = {}
    for words, count in users.items():
        if place == 1 or words[1] != "deleted":
            totals[words[place]] = totals.get(words[place], 0) + count
    return {word: totals[word] for word in order if word in totals}


def _with_since(connection: Connection, users: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Since when: the oldest issue that is open, else the last change that was seen."""
    ids = [user["acs_user_id"] for user in users]
    if not ids:
        return []
    rows, people = issue_rows.c, acs_users.c
    is_theirs = rows.acs_user_id.in_(ids) & rows.cleared_at.is_(None)
    raised = select(rows.acs_user_id, func.min(rows.first_seen_at)).where(is_theirs).group_by(rows.acs_user_id)
    changed = select(people.acs_user_id, people.changed_at).where(people.acs_user_id.in_(ids))
    since = {name: at for query in (changed, raised) for name, at in connection.execute(query)}
    return [user | {"since": since.get(user["acs_user_id"])} for user in users]


def _rejected(lines: Sequence[bytes], since: datetime) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        try:
            told = json.loads(line)
            if clock.parse(told["at"]) >= since:
                found[str(told["outcome"])] = found.get(str(told["outcome"]), 0) + 1
        except (ValueError, KeyError, TypeError):
            continue
    return found
