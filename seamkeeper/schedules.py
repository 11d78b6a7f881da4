"""What comes by the clock: when each of these jobs ran last, when it comes next, and that one runs at a time.

A job of a schedule is one of RQ's own: it waits in RQ's scheduled registry, and RQ's scheduler, of which one acts
however many containers run, puts it into its queue. The next is planned when none waits and none runs, for the time at
which the last one began plus the interval: so runs neither overlap nor pile up, and a missed one is made up for once.
(RQ's own `rq cron` takes no lock: two of them enqueue everything twice.)
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from seamkeeper import clock
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Job, data, flatten
from seamkeeper.turn import text
from seamkeeper.turn_scripts import IS_WAITING

# What they do, for people.
WORDS = {
    "backfill": "fetch events that no delivery brought",
    "systems": "look which access systems are to be compared",
    "registration": "look at our webhook at Seam",
    "retention": "let go of what is too old",
    "recover": "ask again for what Redis forgot",
}

# KEYS  1 the clock: for each name the fields NAME.job, .due, .every, .began, .ended, .outcome, .again  2 job  3 queues
# ARGV  1-4 starts of keys  5 name  6 unix time  7 interval in seconds  8 job id  9 the interval as people know it
#       10.. fields of the job
# A beginning that lies in the future is one of a clock that was set back since: it must not stop the schedule. Nor must
# one that waits for later than an interval: for a retry after an outage (an hour), or since the clock was set back.
_PLAN = (
    IS_WAITING
    + """
local function field(what) return ARGV[5] .. what end
local now, every = tonumber(ARGV[6]), tonumber(ARGV[7])
local due, began = now, tonumber(redis.call('HGET', KEYS[1], field('.began')))
local waits = is_waiting(redis.call('HGET', KEYS[1], field('.job')))
if waits then
  local status, origin = unpack(redis.call('HMGET', JOB .. waits, 'status', 'origin'))
  local latest = now + every
  if began and began <= now then latest = math.max(now, began + every) end
  local comes = status == 'scheduled' and tonumber(redis.call('ZSCORE', SCHEDULED .. origin, waits))
  if comes and comes > latest + every / 4 then  -- who plans gives another jitter each time: that is no reason
    redis.call('ZADD', SCHEDULED .. origin, math.floor(latest), waits)
    redis.call('HSET', KEYS[1], field('.due'), math.floor(latest))
  end
  return 0
end
if redis.call('HDEL', KEYS[1], field('.again')) == 0 and began and began <= now then
  due = math.max(now, began + every)
end
redis.call('HSET', KEYS[2], unpack(ARGV, 10))
local origin = redis.call('HGET', KEYS[2], 'origin')
redis.call('SADD', KEYS[3], QUEUE .. origin)
redis.call('ZADD', SCHEDULED .. origin, math.floor(due), ARGV[8])
redis.call('HSET', KEYS[1], field('.job'), ARGV[8], field('.due'), math.floor(due), field('.every'), ARGV[9])
return 1
"""
)

# KEYS  1 the clock    ARGV  1-4 starts of keys  5 name  6 unix time
# One that waits for its time comes now; beside one that runs, another comes as soon as that one is over.
_HURRY = (
    IS_WAITING
    + """
local job = redis.call('HGET', KEYS[1], ARGV[5] .. '.job')
if is_waiting(job) then
  local status, origin = unpack(redis.call('HMGET', JOB .. job, 'status', 'origin'))
  if status == 'scheduled' then
    local comes = tonumber(redis.call('ZSCORE', SCHEDULED .. origin, job))
    redis.call('ZADD', SCHEDULED .. origin, math.min(comes, tonumber(ARGV[6])), job)
    redis.call('HSET', KEYS[1], ARGV[5] .. '.due', math.min(comes, tonumber(ARGV[6])))
  end
  if status ~= 'started' then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[5] .. '.again', 1)
return 1
"""
)


@dataclass(frozen=True, slots=True)
class Planned:
    """One schedule as people see it. Without `due_at` it has never been planned; a run is under way while `began_at` is
    later than `ended_at`."""

    name: str
    every: timedelta | None
    due_at: datetime | None
    began_at: datetime | None
    ended_at: datetime | None
    outcome: str | None

    @property
    def is_running(self) -> bool:
        """A run has begun and not ended."""
        return self.began_at is not None and (self.ended_at is None or self.ended_at < self.began_at)


class Schedules:
    """The clock's hash in Redis."""

    def __init__(self, queues: Queues) -> None:
        self._queues, self._key = queues, queues.keys.clock()
        self._plan, self._hurry = queues.redis.register_script(_PLAN), queues.redis.register_script(_HURRY)

    def plan(self, name: str, function: str, queue: str, *, every: timedelta, jitter: float = 0.0) -> bool:
        """Puts the next run into RQ's scheduled registry, unless one waits or runs; True when it did. `jitter`: the
        share of the interval by which it may come sooner or later."""
        at = clock.now()
        job = Job(f"clock-{name}-{uuid.uuid4().hex[:8]}", function, {}, f"{name} (by the clock)")
        fields: dict[str, Any] = {"created_at": clock.iso(at), "data": data(job), "description": job.description}
        fields |= {"status": "scheduled", "enqueue_at_front": 1, **self._queues.terms.fields(queue)}
        names = [self._key, self._queues.keys.job(job.job_id), self._queues.keys.queues()]
        seconds = every.total_seconds()
        wait = seconds * random.uniform(1 - jitter, 1 + jitter)  # noqa: S311 (no secret)
        arguments = [*self._queues.starts, name, at.timestamp(), wait, job.job_id, seconds, *flatten(fields)]
        return bool(self._plan(keys=names, args=arguments))

    def hurry(self, name: str) -> None:
        """The next run comes now, or as soon as the one under way is over."""
        self._hurry(keys=[self._key], args=[*self._queues.starts, name, int(clock.now().timestamp())])

    def began(self, name: str) -> None:
        """A run has begun."""
        self._queues.redis.hset(self._key, f"{name}.began", clock.now().timestamp())

    def ended(self, name: str, outcome: str) -> None:
        """It is over: `ok`, or `failed` for now or for ever."""
        fields = {f"{name}.ended": clock.now().timestamp(), f"{name}.outcome": outcome}
        self._queues.redis.hset(self._key, mapping=fields)

    def all(self) -> list[Planned]:
        """Every schedule that was ever planned, by name."""
        return planned(self._queues.redis.hgetall(self._key))


def planned(fields: dict[bytes, bytes]) -> list[Planned]:
    """Out of the clock's hash."""
    found: dict[str, dict[str, str]] = {}
    for key, value in fields.items():
        name, _, what = text(key).rpartition(".")
        found.setdefault(name, {})[what] = text(value)
    return [_planned(name, found[name]) for name in sorted(found)]


def _planned(name: str, fields: dict[str, str]) -> Planned:
    def instant(what: str) -> datetime | None:
        return datetime.fromtimestamp(float(fields[what]), UTC) if what in fields else None

    every = timedelta(seconds=float(fields["every"])) if "every" in fields else None
    return Planned(name, every, instant("due"), instant("began"), instant("ended"), fields.get("outcome"))
