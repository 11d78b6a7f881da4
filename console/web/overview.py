"""The first page: is it fine, or not?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import work
from console.web.meanings import MEANINGS
from console.web.rendering import page
from console.web.state import Console, console_of, part
from seamkeeper import clock, issues, journal, mirror

_HOUR = timedelta(minutes=60)
_LATEST, _ATTENTION = 8, 8


@dataclass(frozen=True, slots=True)
class Kept:
    """What the database says."""

    received: dict[str, int]
    dead: int
    latest: list[dict[str, Any]]
    names: dict[str, str]
    syncs: dict[str, int]
    healths: dict[str, int]
    users: int
    attention: list[dict[str, Any]]
    house: list[dict[str, Any]]

    @property
    def is_first_run(self) -> bool:
        """True while neither an event nor a user was ever kept."""
        return not self.latest and not self.users and not self.healths


@dataclass(frozen=True, slots=True)
class Working:
    """What Redis says."""

    queues: list[work.QueueState]
    workers: list[work.WorkerState]
    is_paused: bool

    def count(self, state: str) -> int:
        """Jobs in one state, all queues together."""
        return sum(queue.counts[state] for queue in self.queues)

    @property
    def oldest_age(self) -> float | None:
        """Seconds that the longest waiting job has waited."""
        return max((queue.oldest_age for queue in self.queues if queue.oldest_age is not None), default=None)

    @property
    def alive(self) -> list[work.WorkerState]:
        """The workers whose heartbeat goes on."""
        return [worker for worker in self.workers if worker.state != "lost"]


def overview(request: Request) -> Response:
    """GET /"""
    console = console_of(request)
    kept, working = part(lambda: _kept(console)), part(lambda: _working(console))
    return page(
        request,
        "overview.html",
        meanings=MEANINGS,
        kept=kept,
        working=working,
        statuses=journal.STATUSES,
        can_be_live=True,
    )


def _kept(console: Console) -> Kept:
    with console.reading() as connection:
        latest = journal.list_events(connection, limit=_LATEST)
        users = mirror.count_users(connection)
        return Kept(
            received=journal.count_since(connection, clock.now() - _HOUR),
            dead=journal.count_with(connection, "dead"),
            latest=latest,
            names=mirror.display_names(connection, [row["acs_user_id"] for row in latest if row["acs_user_id"]]),
            syncs=_sum(users, 0, mirror.SYNCS),
            healths=_sum(users, 1, mirror.HEALTHS),
            users=sum(count for (_, health), count in users.items() if health != "deleted"),
            attention=mirror.needing_attention(connection, limit=_ATTENTION),
            house=issues.of_the_house(connection),
        )


def _sum(users: dict[tuple[str, str], int], place: int, order: tuple[str, ...]) -> dict[str, int]:
    """One of the two words of each user, counted. A deleted user has no sync any more."""
    totals: dict[str, int] = {}
    for words, count in users.items():
        if place == 1 or words[1] != "deleted":
            totals[words[place]] = totals.get(words[place], 0) + count
    return {word: totals[word] for word in order if word in totals}


def _working(console: Console) -> Working:
    redis = console.redis
    return Working(work.queue_states(redis), work.workers(redis), work.is_paused(redis))


routes = [Route("/", overview, methods=["GET"])]
