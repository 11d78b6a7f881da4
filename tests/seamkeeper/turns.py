"""A yard of producers and workers around the turns of a few users, step by step, with a history of what happened.

One thread plays all of them in an order that a seed decides. Every method of `Queues` here is one call of Redis, and
Redis does one at a time: so the orders in which calls can follow each other are all that concurrency is. What the
workers do between the calls (claim, end, die) is what RQ's do, in short.
"""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from redis import Redis

from seamkeeper.keys import Keys
from seamkeeper.queues import RECONCILE, RESYNC, Queues
from seamkeeper.rqjob import Terms

LASTS = timedelta(minutes=5)  # a turn; none ends by the clock while a test runs, `expire` does that
ROUNDS = 100  # in which everybody does one thing: so long an ask may wait for its run, whatever dies

# KEYS  1.. queues    ARGV  1 start of a job key  2 start of a key of executions
_CLAIM = """
for _, queue in ipairs(KEYS) do
  local id = redis.call('LPOP', queue)
  while id do
    if redis.call('HEXISTS', ARGV[1] .. id, 'data') == 1 then
      redis.call('HSET', ARGV[1] .. id, 'status', 'started')
      redis.call('ZADD', ARGV[2] .. id, 1, 'execution')
      return {id, redis.call('HGET', ARGV[1] .. id, 'data'), redis.call('HGET', ARGV[1] .. id, 'origin'),
              redis.call('HGET', ARGV[1] .. id, 'enqueue_at_front')}
    end
    id = redis.call('LPOP', queue)
  end
end
return false
"""


@dataclass
class Claimed:
    """A job in a worker's hands."""

    job_id: str
    user: str
    step: int
    why: str
    queue: str
    is_retry: bool


class Floor:
    """What workers and the scheduler of RQ do, on the keys of RQ."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.keys = redis, Keys()
        self.queues = Queues(redis, keys=self.keys, terms=Terms())
        self._claim = redis.register_script(_CLAIM)
        self._names = [self.keys.queue(RECONCILE), self.keys.queue(RESYNC)]

    def claim(self) -> Claimed | None:
        """The next job, started."""
        found: Any = self._claim(keys=self._names, args=[self.keys.job(""), self.keys.executions("")])
        if not found:
            return None
        job_id, data, queue, front = found
        arguments = json.loads(zlib.decompress(data))[3]
        user, step, why = arguments["acs_user_id"], arguments["step"], arguments["why"]
        return Claimed(job_id.decode(), user, step, why, queue.decode(), front == b"1")

    def take(self, job: Claimed) -> str | None:
        """As workers/turn.py does it."""
        return self.queues.take_turn(
            job.user, job_id=job.job_id, lasts=LASTS, step=job.step, why=job.why, source="test", queue=job.queue,
            is_retry=job.is_retry,
        )  # fmt: skip

    def end(self, job: Claimed) -> None:
        """The job is over."""
        with self.redis.pipeline() as pipeline:
            pipeline.delete(self.keys.executions(job.job_id)).delete(self.keys.job(job.job_id)).execute()

    def bring_back(self, job: Claimed) -> None:
        """Its worker died: what RQ's maintenance and our sweep do."""
        with self.redis.pipeline() as pipeline:
            pipeline.delete(self.keys.executions(job.job_id))
            pipeline.hset(self.keys.job(job.job_id), "status", "queued")
            pipeline.rpush(self.keys.queue(job.queue), job.job_id).execute()

    def scheduled(self) -> list[tuple[str, str]]:
        """(queue, id) of what waits for its time."""
        registries = [(name, self.keys.scheduled(name)) for name in (RECONCILE, RESYNC)]
        return [(name, entry.decode()) for name, key in registries for entry in sorted(self.redis.zrange(key, 0, -1))]

    def come_due(self, queue: str, job_id: str) -> None:
        """What RQ's scheduler does."""
        with self.redis.pipeline() as pipeline:
            pipeline.zrem(self.keys.scheduled(queue), job_id)
            pipeline.hset(self.keys.job(job_id), "status", "queued")
            is_at_front = self.redis.hget(self.keys.job(job_id), "enqueue_at_front") == b"1"
            (pipeline.lpush if is_at_front else pipeline.rpush)(self.keys.queue(queue), job_id)
            pipeline.execute()

    def left(self) -> dict[str, Any]:
        """Everything about turns that still means something in Redis; empty when all is quiet.

        A mark whose job was deleted, and a list of jobs that came by their time, mean nothing: they end by themselves.
        """
        kinds = ("waiting", "retry", "resync", "later", "turn", "blocked", "failing")
        ours = {key.decode() for kind in kinds for key in self.redis.keys(f"rq:seamkeeper:{kind}:*")}
        jobs = {key.decode() for name in ("job", "executions") for key in self.redis.keys(f"rq:{name}:*")}
        endless = {key for key in ours if self.redis.ttl(key) == -1}
        meant = {key for key in ours if key.split(":")[2] in ("turn", "failing")} if not jobs else ours
        return dict.fromkeys(jobs | endless | meant, "left") | dict(self.scheduled())


@dataclass
class Book:
    """The history as a workqueue must make it; each method says what happened, and raises when it may not."""

    at: int = 0  # the round
    begun: Counter[str] = field(default_factory=Counter)
    running: dict[str, str] = field(default_factory=dict)  # user -> the job whose run it is
    unanswered: dict[str, int] = field(default_factory=dict)  # user -> since which round
    reasons: set[str] = field(default_factory=set)
    died: set[str] = field(default_factory=set)  # jobs whose worker died: they come back, once more is no fault
    longest: int = 0

    def asked(self, user: str) -> None:
        self.unanswered.setdefault(user, self.at)
        self.reasons.add(user)

    def failed(self, user: str) -> None:
        """A run that failed or was abandoned is a reason for one more."""
        self.reasons.add(user)

    def begins(self, job: Claimed) -> None:
        assert job.user not in self.running, f"two runs of {job.user} at once"
        is_due = job.user in self.reasons or job.step or job.job_id in self.died
        assert is_due, f"a run of {job.user} for no reason: {job}"
        self.running[job.user] = job.job_id
        self.begun[job.user] += 1
        if not job.step:  # a later look may do less than a resync asks for: it serves none
            self.reasons.discard(job.user)
        if job.user in self.unanswered:
            self.longest = max(self.longest, self.at - self.unanswered.pop(job.user))

    def ends(self, job: Claimed) -> None:
        if self.running.get(job.user) == job.job_id:
            del self.running[job.user]


class Yard:
    """Who is there, and one round after the other in which each does one thing, in a new order each time."""

    def __init__(self, redis: Redis, seed: int, *, users: int, producers: int, asks: int, workers: int) -> None:
        self.random, self.floor, self.book = random.Random(seed), Floor(redis), Book()
        self.users = [f"u{number}" for number in range(users)]
        self.asks_left = [asks] * producers
        self.hands: list[Claimed | None] = [None] * workers
        self.tokens: dict[int, str] = {}
        self.work_left: dict[int, int] = defaultdict(int)
        self.expiring: list[tuple[int, Claimed, bool]] = []  # round, whose turn, and whether its worker died
        self.is_hungry = True
        self.is_calm = False

    def play(self) -> Book:
        """Until all asks are made and everything they led to is over. The ids come from the seed too."""
        with patch("seamkeeper.turn.uuid.uuid4", lambda: UUID(int=self.random.getrandbits(128), version=4)):
            return self._play()

    def _play(self) -> Book:
        steps: list[Callable[[], None]] = [lambda at=at: self._produce(at) for at in range(len(self.asks_left))]
        steps += [lambda at=at: self._work(at) for at in range(len(self.hands))]
        steps += [self._schedule, self._expire, self._delete_as_an_operator]
        quiet = 0
        while quiet < 3:
            self.book.at += 1
            self.is_calm = not any(self.asks_left)
            self.random.shuffle(steps)
            for step in steps:
                step()
            is_over = self.is_calm and not self.is_hungry and not any(self.hands) and not self.expiring
            is_over = is_over and not self.floor.left()
            quiet = quiet + 1 if is_over else 0
            assert self.book.at < 5000, f"never quiet: {self.floor.left()}"
            assert all(self.book.at - since < ROUNDS for since in self.book.unanswered.values()), self.book.unanswered
        return self.book

    def _produce(self, at: int) -> None:
        for _ in range(min(self.asks_left[at], self.random.randrange(20))):
            self.asks_left[at] -= 1
            user = self.random.choice(self.users)
            queue = RESYNC if self.random.random() < 0.1 else RECONCILE
            self.floor.queues.ask_reconcile(user, why=f"ask of {at}", source="test", queue=queue)
            self.book.asked(user)
            self.is_hungry = True

    def _work(self, at: int) -> None:
        job = self.hands[at]
        if job is None:
            if self.is_hungry:
                self.hands[at] = self.floor.claim()
                self.is_hungry = self.hands[at] is not None
        elif self._dies(0.02):
            self._die(at, job)
        elif at not in self.tokens:
            self._begin(at, job)
        elif self.work_left[at]:
            self.work_left[at] -= 1
        else:
            self._finish(at, job)

    def _dies(self, share: float) -> bool:
        return not self.is_calm and self.random.random() < share

    def _die(self, at: int, job: Claimed) -> None:
        """With or without the turn."""
        self.book.died.add(job.job_id)
        self.hands[at] = None
        self.book.failed(job.user)
        self.tokens.pop(at, None)
        self.expiring.append((self.book.at + 4, job, True))

    def _begin(self, at: int, job: Claimed) -> None:
        token = self.floor.take(job)
        self.is_hungry = True
        if token is None:
            if job.job_id in self.book.died:
                self.book.failed(job.user)  # the one that comes instead is the run of the dead
            self.floor.end(job)
            self.hands[at] = None
            return
        self.book.begins(job)
        self.tokens[at], self.work_left[at] = token, self.random.randrange(3)
        if self._dies(0.05):  # frozen for longer than a turn lasts
            self.work_left[at] = 8
            self.book.failed(job.user)
            self.expiring.append((self.book.at + 4, job, False))

    def _finish(self, at: int, job: Claimed) -> None:
        token, queues = self.tokens.pop(at), self.floor.queues
        is_settled = not self._dies(0.2)
        if not is_settled:
            failures = queues.note_failure(job.user, token, step=job.step)
            delay = timedelta(hours=1)
            queues.ask_retry(job.user, why=job.why, source="test", delay=delay, step=failures.step)
            self.book.failed(job.user)
        elif self._dies(0.2):
            queues.ask_reconcile(job.user, why="a write", source="test", delay=timedelta(hours=1), step=job.step + 1)
        queues.give_turn_back(job.user, token, settled=is_settled)
        self.book.ends(job)
        self.floor.end(job)
        self.hands[at] = None
        self.is_hungry = True

    def _schedule(self) -> None:
        """Any of them at any time: no order of times may lose an ask."""
        for queue, job_id in self.floor.scheduled():
            if self.is_calm or self.random.random() < 0.2:
                self.floor.come_due(queue, job_id)
                self.is_hungry = True

    def _expire(self) -> None:
        """A turn ends by itself; the job of a worker that died comes back."""
        for entry in [entry for entry in self.expiring if entry[0] <= self.book.at]:
            _, job, is_dead = entry
            self.expiring.remove(entry)
            if self.book.running.get(job.user) == job.job_id:
                self.floor.redis.delete(self.floor.keys.turn(job.user))
                self.book.ends(job)
            if is_dead:
                self.floor.bring_back(job)
                self.is_hungry = True

    def _delete_as_an_operator(self) -> None:
        """With RQ's tools: what was asked until now may be gone with the job, what is asked from now on not."""
        waiting = self.floor.redis.lrange(self.floor.keys.queue(RECONCILE), 0, -1)
        if waiting and self._dies(0.1):
            job_id = self.random.choice(waiting).decode()
            arguments = self.floor.redis.hget(self.floor.keys.job(job_id), "data")
            self.floor.redis.lrem(self.floor.keys.queue(RECONCILE), 0, job_id)
            self.floor.redis.delete(self.floor.keys.job(job_id))
            if arguments:
                self.book.unanswered.pop(json.loads(zlib.decompress(arguments))[3]["acs_user_id"], None)
