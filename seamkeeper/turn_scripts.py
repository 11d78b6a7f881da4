"""The Lua calls behind a user's turn: each looks and writes in one step, and may be sent twice.

`own` is the job that asks; a mark that names it does not count for it. The places of the marks among the KEYS are those
of the constants below.
"""

LIVE, RETRY, RESYNC_MARK, LATER = 4, 5, 6, 7

# ARGV  1 start of a job key  2 of a queue  3 of a scheduled registry  4 of the executions of a job
# A mark counts only while a run really comes of the job it names. `scheduled`: RQ's scheduler knows it. `queued`: it
# stands in its queue, or the sweep puts it back (a look through the list would cost its length). `started`: a worker
# has it and has not taken the turn yet, which ends the mark; RQ's entry of the execution outlives the worker until the
# sweep is sure to have brought the job back. Failed, canceled, stopped, deleted: nobody waits for those.
IS_WAITING = """
local JOB, QUEUE, SCHEDULED, EXECUTIONS = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local function is_waiting(id)
  if not id then return false end
  local status, origin = unpack(redis.call('HMGET', JOB .. id, 'status', 'origin'))
  if status == 'queued' then return id end
  if status == 'started' and redis.call('EXISTS', EXECUTIONS .. id) == 1 then return id end
  if status == 'scheduled' and redis.call('ZSCORE', SCHEDULED .. origin, id) then return id end
  return false
end
"""

# KEYS  1 turn  2 blocked  3 failing  4 live mark  5 retry mark  6 resync mark  7 later mark  8 queues
_PARTS = (
    IS_WAITING
    + """
local function other(mark, own)  -- the job a mark names, if it waits and is not the one that asks
  local id = redis.call('GET', mark)
  return id ~= own and is_waiting(id)
end
local function put(mark, life, id, fields)  -- a job that is nowhere yet
  redis.call('SET', mark, id, 'EX', life)
  redis.call('HSET', JOB .. id, unpack(ARGV, fields))
  redis.call('SADD', KEYS[8], QUEUE .. redis.call('HGET', JOB .. id, 'origin'))
end
local function schedule(id, due)
  redis.call('HSET', JOB .. id, 'status', 'scheduled')
  redis.call('ZADD', SCHEDULED .. redis.call('HGET', JOB .. id, 'origin'), due, id)
end
local function push(id, at)
  local origin, front = unpack(redis.call('HMGET', JOB .. id, 'origin', 'enqueue_at_front'))
  redis.call('HSET', JOB .. id, 'status', 'queued', 'enqueued_at', at)
  redis.call(front == '1' and 'LPUSH' or 'RPUSH', QUEUE .. origin, id)
end
-- Nobody needs the job any more. RQ passes over an id in a queue that has no job; one that a worker already has finds
-- the word when it asks for the turn.
local function drop(mark)
  local id = redis.call('GET', mark)
  if not id then return end
  local status, origin = unpack(redis.call('HMGET', JOB .. id, 'status', 'origin'))
  if status == 'scheduled' then redis.call('ZREM', SCHEDULED .. origin, id) end
  if status == 'scheduled' or status == 'queued' then redis.call('DEL', JOB .. id) end
  if status == 'started' then redis.call('HSET', JOB .. id, 'seamkeeper_served', '1') end
  redis.call('DEL', mark)
end
-- During a turn the job waits in RQ's scheduled registry for the time at which the turn ends by itself, and in the list
-- from which giving it back pulls it forward: so it is never lost, whatever becomes of who has the turn.
local function ask(mark, life, id, due, own, now, at, fields)
  local found = (due == 0 and other(KEYS[4], own)) or other(mark, own)
  if found and due > 0 then  -- a look that comes only later than this one does not stand for it
    local comes = redis.call('ZSCORE', SCHEDULED .. redis.call('HGET', JOB .. found, 'origin'), found)
    if comes and tonumber(comes) > due then
      drop(mark)
      found = false
    end
  end
  if found then return found end
  local held = redis.call('PTTL', KEYS[1])
  put(mark, life, id, fields)
  if due > 0 then
    schedule(id, due)
  elseif held == -2 then
    push(id, at)
  else
    schedule(id, math.ceil(now + held / 1000))
    redis.call('RPUSH', KEYS[2], id)
    redis.call('PEXPIRE', KEYS[2], held + 60000)  -- of no use once the jobs came by their time
  end
  return id
end
"""
)

# ARGV  5 place of the mark  6 life of the mark  7 id  8 due (unix seconds, 0 = now)  9 unix time  10 ISO time
#       11.. fields of the job
ASK = (
    _PARTS
    + """
return ask(KEYS[tonumber(ARGV[5])], ARGV[6], ARGV[7], tonumber(ARGV[8]), '', ARGV[9], ARGV[10], 11)
"""
)

# ARGV  5 place of the mark  6 its life  7 id of a job to come instead  8 own job  9 unix time  10 ISO time  11 token
#       12 milliseconds  13 '1' when this run serves a waiting resync too  14.. fields of the job to come
# Taking the turn ends the waiting: an ask from here on is one more run. A call that redis-py repeats because its answer
# was lost finds its own token: the turn is ours, not another's.
TAKE = (
    _PARTS
    + """
local mark, own = KEYS[tonumber(ARGV[5])], ARGV[8]
if redis.call('GET', KEYS[1]) ~= ARGV[11] then
  if redis.call('HGET', JOB .. own, 'seamkeeper_served') or other(KEYS[4], own) or other(mark, own) then
    if redis.call('GET', mark) == own then redis.call('DEL', mark) end
    return 0
  end
  if not redis.call('SET', KEYS[1], ARGV[11], 'NX', 'PX', ARGV[12]) then
    ask(mark, ARGV[6], ARGV[7], 0, own, ARGV[9], ARGV[10], 14)
    return 0
  end
end
for place = 4, 7 do
  if redis.call('GET', KEYS[place]) == own then redis.call('DEL', KEYS[place]) end
end
if ARGV[13] == '1' then drop(KEYS[6]) end
return 1
"""
)

# ARGV  5 token  6 ISO time  7 '1' when the failures are forgotten
GIVE_BACK = (
    _PARTS
    + """
if redis.call('GET', KEYS[1]) ~= ARGV[5] then return 0 end
redis.call('DEL', KEYS[1])
if ARGV[7] == '1' then
  redis.call('DEL', KEYS[3])
  drop(KEYS[5])
end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  local status, origin = unpack(redis.call('HMGET', JOB .. id, 'status', 'origin'))
  if status == 'scheduled' and redis.call('ZREM', SCHEDULED .. origin, id) == 1 then push(id, ARGV[6]) end
end
redis.call('DEL', KEYS[2])
return 1
"""
)

# ARGV  5 life of the mark  6 id  7 due  8 '1' when no earlier than a retry that waits  9.. fields of the job
ASK_RETRY = (
    _PARTS
    + """
local waits, due = redis.call('GET', KEYS[5]), tonumber(ARGV[7])
if waits and waits ~= ARGV[6] then
  local was_due = redis.call('ZSCORE', SCHEDULED .. (redis.call('HGET', JOB .. waits, 'origin') or ''), waits)
  local is_behind_a_turn = redis.call('LPOS', KEYS[2], waits)  -- then its time says nothing about the back-off
  if ARGV[8] == '1' and was_due and not is_behind_a_turn then due = math.max(due, tonumber(was_due)) end
  drop(KEYS[5])
end
put(KEYS[5], ARGV[5], ARGV[6], 9)
schedule(ARGV[6], due)
return due
"""
)

# KEYS  1 failing    ARGV  1 token  2 step  3 life  4 by how much the number grows
# Counted once per turn, however often the call is sent. The lowest step of the runs is kept: the retry stands for all
# of them, and an ask by an event (step 0) may do what a later look may not.
NOTE_FAILURE = """
if redis.call('HGET', KEYS[1], 'by') ~= ARGV[1] then
  redis.call('HINCRBY', KEYS[1], 'number', ARGV[4])
  local step = redis.call('HGET', KEYS[1], 'step')
  if not step or tonumber(ARGV[2]) < tonumber(step) then redis.call('HSET', KEYS[1], 'step', ARGV[2]) end
  redis.call('HSET', KEYS[1], 'by', ARGV[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return {tonumber(redis.call('HGET', KEYS[1], 'number')), tonumber(redis.call('HGET', KEYS[1], 'step'))}
"""

# Whether a look at the user waits (for a resync, too), will be tried again, or may run at this moment (the turn is
# taken, by whomever).
IS_ASKED = (
    _PARTS
    + """
for place = 4, 6 do
  if other(KEYS[place], '') then return 1 end
end
return redis.call('EXISTS', KEYS[1])
"""
)

DROP = (
    _PARTS
    + """
drop(KEYS[4])
drop(KEYS[5])
return 1
"""
)
