"""May we call Seam now? One token bucket in Redis for the calls of all workers.

Every call takes one token in one Lua call, by Redis' own clock. When none is left a token is promised: who is promised
one soon waits for it in its thread, who would wait longer is sent away until a later moment of its own, so that many
do not come back together. Work that nobody waits for (the queue `resync`) leaves half of the burst alone. A 429 halves
the rate, which comes back within a minute; a Retry-After stops everybody until then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from redis.exceptions import RedisError

from seamkeeper.errors import Postponed, Temporary
from seamkeeper.seam_limits import RECOVERY_SECONDS
from workers.concurrent.deadline import remaining
from workers.seam_errors import LONGEST_WAIT

_LONGEST_WAIT = 2.0  # seconds that a call waits in its thread; longer ones free the thread for others
_LONGEST_PAUSE = int(LONGEST_WAIT.total_seconds())
_SLOWEST = 0.05  # of the configured rate: so slow do 429s make us, and no slower

# What both scripts begin with.
# KEYS  1 the bucket: tokens (below 0: promised), at (when they were counted; ahead of now: nobody may call until then),
#         till (of the last Retry-After), most (the configured rate), rate and slowed_at (of the last 429), line and
#         low_line (when the last who was sent away comes back)
# ARGV  1 configured rate  2 burst   Times are microseconds; Lua's own way to write numbers has 14 digits, too few.
# Redis' clock may be set back: what then lies in the future without a Retry-After that could have said so is now.
_COUNT = f"""
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local most, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local b = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'rate', 'slowed_at', 'till')
local rate, slowed_at, till = most, math.min(now, tonumber(b[4] or 0)), tonumber(b[5] or 0)
if till > now + {_LONGEST_PAUSE} * 1000000 then till = now end
if tonumber(b[4] or 0) > now then redis.call('HSET', KEYS[1], 'slowed_at', string.format('%.0f', now)) end
if b[3] then rate = math.min(most, b[3] + (now - slowed_at) / 1000000 * most / {RECOVERY_SECONDS}) end
local at = math.min(tonumber(b[2] or now), math.max(now, till))
local tokens = math.min(burst, tonumber(b[1] or burst) + math.max(0, now - at) / 1000000 * rate)
at = math.max(at, now)
local function keep(...)
  redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', at),
             'till', string.format('%.0f', till), 'most', ARGV[1], ...)
  redis.call('EXPIRE', KEYS[1], 3600)
end
"""

# ARGV  3 tokens to leave alone  4 longest wait  5 '1': a token was promised to us before, may we call now?  6 line
# Gives {1, wait} (the token is ours after it) or {0, come back after so long}.
_TAKE = (
    _COUNT
    + """
local spared, patience = tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[5] == '1' and at == now then return {1, 0} end
if spared > 0 then patience = math.min(patience, spared / 2 / rate * 1000000) end
local wait = at - now + math.max(0, 1 + spared - tokens) / rate * 1000000
if wait <= patience then
  tokens = tokens - 1
  keep()
  return {1, math.ceil(wait)}
end
local back = math.max(now + wait, tonumber(redis.call('HGET', KEYS[1], ARGV[6]) or 0))
back = math.min(back, now + wait + 600000000)
keep(ARGV[6], string.format('%.0f', back + 1000000 / rate))
return {0, math.ceil(back - now)}
"""
)

# ARGV  3 '1': too many requests  4 nobody may call for so long  5 slowest rate
# What was saved up is gone; many 429s of one second are one.
_REFUSED = (
    _COUNT
    + """
if ARGV[3] == '1' and now - slowed_at >= 1000000 then
  rate = math.max(tonumber(ARGV[5]), rate / 2)
  redis.call('HSET', KEYS[1], 'rate', string.format('%.6f', rate), 'slowed_at', string.format('%.0f', now))
end
tokens = math.min(tokens, 0)
till = math.max(till, now + tonumber(ARGV[4]))
at = math.max(at, till)
keep()
return string.format('%.6f', rate)
"""
)


class Budget:
    """The bucket, as the threads of one process see it."""

    def __init__(self, redis: Any, key: str, *, rate: float, burst: int) -> None:
        self._key, self._rate, self._burst = key, rate, burst
        self._take = redis.register_script(_TAKE)
        self._refused = redis.register_script(_REFUSED)

    def wait_for_turn(self, *, is_live: bool = True) -> float:
        """Takes a token and sleeps until it is ours; gives the seconds slept.

        Raises `Postponed` when that takes more than 2 s or half of what is left of the job's time, and `Temporary`
        when Redis does not answer: nobody calls without having asked.
        """
        spared, line = (0, "line") if is_live else (self._burst // 2, "low_line")
        longest = remaining(_LONGEST_WAIT * 2) / 2
        waited, is_promised = 0.0, False
        while True:
            patience = max(0, int((longest - waited) * 1_000_000))
            arguments = [self._rate, self._burst, spared, patience, int(is_promised), line]
            with _redis_may_be_away():
                is_ours, wait = self._take(keys=[self._key], args=arguments)
            if not is_ours:
                raise Postponed("Seam's API is shared: our rate is used up", delay=timedelta(microseconds=wait))
            if not wait:
                return waited
            time.sleep(wait / 1_000_000)
            waited, is_promised = waited + wait / 1_000_000, True  # meanwhile Seam may have said Retry-After to another

    def refused(self, *, is_too_many: bool, retry_after: timedelta | None) -> float:
        """Seam said 429, or Retry-After with another status: what everybody does from now on. Gives the new rate."""
        pause = int((retry_after or timedelta()).total_seconds() * 1_000_000)
        slowest = max(1.0, self._rate * _SLOWEST)
        with _redis_may_be_away():
            arguments = [self._rate, self._burst, int(is_too_many), pause, slowest]
            return float(self._refused(keys=[self._key], args=arguments))


@contextmanager
def _redis_may_be_away() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise Temporary(f"Redis did not say whether Seam may be called ({type(error).__name__})") from error
