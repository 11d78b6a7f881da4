"""What happens to a circuit in Redis, each in one step.

KEYS  1 the circuit: failures of reads and of writes in a row while it is closed; `until`, `opened_at`, `reason`,
        `probe_until` while it is open; `cool_off`, the last one; `unseen` from when it closed until the resync was
        asked for  2 the set of open circuits
Times are microseconds of Redis' own clock; Lua's own way to write numbers has 14 digits, too few.
"""

from __future__ import annotations

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function at(time) return string.format('%.0f', time) end
"""

# ARGV  1 how long a probe may last
# Gives {0, 1 when something failed before} closed, {1, how long} open, {2, 0} open and this call is the probe.
ENTER = (
    _NOW
    + """
local c = redis.call('HMGET', KEYS[1], 'until', 'probe_until', 'read', 'write')
if not c[1] then return {0, (c[3] or c[4]) and 1 or 0} end
local wait = math.max(tonumber(c[1]), tonumber(c[2] or 0)) - now
if wait > 0 then return {1, wait} end
redis.call('HSET', KEYS[1], 'probe_until', at(now + ARGV[1]))
return {2, 0}
"""
)

# ARGV  1 system  2 read or write  3 '1': the probe  4 failures that open  5 first cool-off  6 longest  7 spread
#       8 reason
# Gives the cool-off when it opened (again), else 0. Calls that were under way when it opened change nothing.
FAILED = (
    _NOW
    + """
local is_open = redis.call('HEXISTS', KEYS[1], 'until') == 1
if is_open and ARGV[3] ~= '1' then return 0 end
redis.call('EXPIRE', KEYS[1], 86400)
if not is_open and redis.call('HINCRBY', KEYS[1], ARGV[2], 1) < tonumber(ARGV[4]) then
  redis.call('EXPIRE', KEYS[1], 1800)
  return 0
end
local last = redis.call('HGET', KEYS[1], 'cool_off')
local cool_off = last and math.min(last * 2, tonumber(ARGV[6])) or tonumber(ARGV[5])
local rest = math.min(cool_off * ARGV[7], tonumber(ARGV[6]))
if not is_open then redis.call('HSET', KEYS[1], 'opened_at', at(now)) end
redis.call('HSET', KEYS[1], 'cool_off', at(cool_off), 'until', at(now + rest), 'reason', ARGV[8])
redis.call('HDEL', KEYS[1], 'probe_until', 'read', 'write')
redis.call('EXPIRE', KEYS[1], 86400)
redis.call('SADD', KEYS[2], ARGV[1])
return math.ceil(rest)
"""
)

# ARGV  1 system  2 read or write  3 '1': closes it  4 '1': and the next cool-off is the first again
# Gives 1 when it was open and is closed now. Its last cool-off is remembered for a while: who opens again soon after
# it closed is let rest longer.
SUCCEEDED = """
local is_open = redis.call('HEXISTS', KEYS[1], 'until') == 1
if ARGV[4] == '1' then redis.call('DEL', KEYS[1]) end
if not is_open then
  redis.call('HDEL', KEYS[1], ARGV[2])
  return 0
end
if ARGV[3] ~= '1' then return 0 end
redis.call('HDEL', KEYS[1], 'until', 'probe_until', 'opened_at', 'reason', 'read', 'write')
redis.call('HSET', KEYS[1], 'unseen', 1)
redis.call('EXPIRE', KEYS[1], 1200)
redis.call('SREM', KEYS[2], ARGV[1])
return 1
"""

# The probe ended without telling anything about the system (Seam said 429, the job was ended): another may come soon.
UNDECIDED = (
    _NOW
    + """
if redis.call('HDEL', KEYS[1], 'probe_until') == 1 then
  redis.call('HSET', KEYS[1], 'until', at(now + 5000000))
end
return 0
"""
)

# KEYS  1 parked users    ARGV  user, value as it was read, user, value, …
LET_GO = """
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return 0
"""
