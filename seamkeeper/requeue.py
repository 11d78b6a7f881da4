"""How a stored event, or a job that failed for good, comes into its queue again: never two jobs of one event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamkeeper import clock
from seamkeeper.queues import EVENTS, Queues
from seamkeeper.rqjob import Job, data, flatten
from seamkeeper.turn_scripts import IS_WAITING

# What stands in the way of a job, if anything.
IDLE, WAITING, FORGOTTEN = 0, 1, 2

# KEYS  1 queue  2 queues  3 job  4 failed registry  5 deaths of the job's workers
# ARGV  1-4 starts of keys  5 job id  6.. fields of the job
# The key against repeated deliveries is not looked at: this is no delivery. The deaths are forgotten, else the first
# worker that ends while it runs would set the job aside again.
_AGAIN = (
    IS_WAITING
    + """
if is_waiting(ARGV[5]) then return 1 end
redis.call('DEL', KEYS[5])
if redis.call('DEL', KEYS[3]) == 1 then redis.call('ZREM', KEYS[4], ARGV[5]) end
redis.call('HSET', KEYS[3], unpack(ARGV, 6))
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('RPUSH', KEYS[1], ARGV[5])
return 0
"""
)

# KEYS  1 job  2 queues  3 deaths of the job's workers
# ARGV  1-4 starts of keys  5 job id  6 start of a failed registry  7 ISO time  8 tries left
_REVIVE = (
    IS_WAITING
    + """
if redis.call('HEXISTS', KEYS[1], 'data') == 0 then return 2 end
if is_waiting(ARGV[5]) then return 1 end
local origin = redis.call('HGET', KEYS[1], 'origin')
redis.call('DEL', KEYS[3])
redis.call('ZREM', ARGV[6] .. origin, ARGV[5])
redis.call('HDEL', KEYS[1], 'number_of_retries')
redis.call('HSET', KEYS[1], 'status', 'queued', 'enqueued_at', ARGV[7], 'started_at', '', 'ended_at', '',
           'last_heartbeat', '', 'retries_left', ARGV[8])
redis.call('PERSIST', KEYS[1])
redis.call('SADD', KEYS[2], QUEUE .. origin)
redis.call('RPUSH', QUEUE .. origin, ARGV[5])
return 0
"""
)

# ARGV  1-4 starts of keys  5.. job ids
_LOOK = (
    IS_WAITING
    + """
local found = {}
for i = 5, #ARGV do
  found[i - 4] = (is_waiting(ARGV[i]) and 1) or (redis.call('HEXISTS', JOB .. ARGV[i], 'data') == 0 and 2) or 0
end
return found
"""
)


class Requeue:
    """Each job in one call that looks before it pushes."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues
        self._again, self._revive, self._look = (
            queues.redis.register_script(script) for script in (_AGAIN, _REVIVE, _LOOK)
        )

    def look(self, job_ids: Sequence[str]) -> dict[str, int]:
        """What stands in the way of each now: nothing (`IDLE`), it is waiting or running, RQ has forgotten it."""
        if not job_ids:
            return {}
        answers = self._look(keys=[], args=[*self._queues.starts, *job_ids])
        return dict(zip(job_ids, answers, strict=True))

    def events(self, jobs: Sequence[Job]) -> list[int]:
        """Their ordinary jobs again, in one trip; `WAITING` where there is one already."""
        keys, pipeline = self._queues.keys, self._queues.redis.pipeline(transaction=False)
        at = clock.iso(clock.now())
        for job in jobs:
            names = [
                keys.queue(EVENTS),
                keys.queues(),
                keys.job(job.job_id),
                keys.failed(EVENTS),
                keys.deaths(job.job_id),
            ]
            fields: dict[str, Any] = {"created_at": at, "data": data(job), "description": job.description}
            fields |= {"enqueued_at": at, "status": "queued", **self._queues.terms.fields(EVENTS)}
            arguments = [*self._queues.starts, job.job_id, *flatten(fields)]
            self._again(keys=names, args=arguments, client=pipeline)
        answers: list[int] = pipeline.execute()
        return answers

    def job(self, job_id: str) -> int:
        """A job of RQ's that failed for good, into the queue it came from, with all its tries."""
        keys = self._queues.keys
        names = [keys.job(job_id), keys.queues(), keys.deaths(job_id)]
        tries = len(self._queues.terms.retry_delays)
        arguments = [*self._queues.starts, job_id, keys.failed(""), clock.iso(clock.now()), tries]
        return int(self._revive(keys=names, args=arguments))
