"""How a person cancels a job that waits: in one step, so that nothing is cancelled which a worker has just begun."""

from __future__ import annotations

import time
from typing import Any

from seamkeeper.keys import Keys

TAKEN, NOT_WAITING, FORGOTTEN = 1, 0, -1
_KEPT = 30 * 86400  # seconds, as a failed one; RQ itself never forgets a cancelled job

# KEYS  1 job  2 canceled registry    ARGV  1 job id  2 queue  3 scheduled registry  4 deferred registry  5 unix time
#       6 how long it is kept
# What RQ's `Job.cancel` writes, but only when the job was found where its status says: RQ marks one that runs, too.
_CANCEL = """
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return -1 end
local taken = 0
if status == 'queued' then taken = redis.call('LREM', ARGV[2], 0, ARGV[1])
elseif status == 'scheduled' then taken = redis.call('ZREM', ARGV[3], ARGV[1])
elseif status == 'deferred' then taken = redis.call('ZREM', ARGV[4], ARGV[1])
end
if taken == 0 then return 0 end
redis.call('HSET', KEYS[1], 'status', 'canceled')
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5] - ARGV[6])
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
return 1
"""


def cancel(redis: Any, keys: Keys, job_id: str, queue: str) -> int:
    """`TAKEN`; `NOT_WAITING` when it runs or has ended; `FORGOTTEN` when RQ knows no such job."""
    names = [keys.job(job_id), keys.canceled(queue)]
    places = [keys.queue(queue), keys.scheduled(queue), keys.deferred(queue)]
    return int(redis.register_script(_CANCEL)(keys=names, args=[job_id, *places, int(time.time()), _KEPT]))


def come_now(redis: Any, keys: Keys, job_id: str, queue: str) -> bool:
    """One that waits for its time comes with the scheduler's next tick. False: it does not wait for one."""
    script = "if redis.call('ZSCORE', KEYS[1], ARGV[1]) then redis.call('ZADD', KEYS[1], 'LT', ARGV[2], ARGV[1]) " \
             "return 1 end return 0"  # fmt: skip
    return bool(redis.register_script(script)(keys=[keys.scheduled(queue)], args=[job_id, int(time.time())]))
