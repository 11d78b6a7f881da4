"""The Lua calls that move a job, and how several of them travel in one round trip.

A job stands in RQ's started registry (`rq:wip:QUEUE`) under `JOB:EXECUTION` from the moment it leaves its queue until
what became of it is written. Each script looks at that entry first, so each may be sent again when an answer got lost,
and each execution ends once: what a worker says after the sweep took its job away is not written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua program and the name Redis knows it by."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Any]


def travel(redis: Any, calls: Sequence[Call]) -> list[Any]:
    """What the calls answer, all in one round trip. Raises the first error among the answers.

    redis-py's own way to call scripts in a pipeline asks first whether they exist: one more trip each time. They vanish
    when Redis restarts; then they are loaded, and only the calls that found none are sent again.
    """
    answers = _send(redis, calls)
    missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if missing:
        for script in {calls[index].script for index in missing}:
            redis.script_load(script.text)
        for index, answer in zip(missing, _send(redis, [calls[index] for index in missing]), strict=True):
            answers[index] = answer
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _send(redis: Any, calls: Sequence[Call]) -> list[Any]:
    with redis.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.execute_command("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.arguments)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
    return answers


@dataclass(frozen=True, slots=True)
class Unit:
    """Commands that are one thing: all of them, if the execution `entry` still stands in the registry, or none.

    With `dependents` they wait for RQ's own method when jobs depend on this one. With `before` (unix time) the
    execution must have been without a heartbeat since then.
    """

    registry: str
    entry: str
    commands: Sequence[Sequence[Any]]
    dependents: str = ""
    before: float | str = ""


# What became of an end: its execution is gone, it was written, it is one for RQ's own method.
GONE, WRITTEN, FOR_RQ = 0, 1, 2


def settle_call(units: Sequence[Unit]) -> Call:
    """Answers one of the three words above for each unit, in order."""
    arguments: list[Any] = [len(units)]
    for unit in units:
        arguments += (unit.registry, unit.entry, unit.before, unit.dependents, len(unit.commands))
        for command in unit.commands:
            arguments.append(len(command))
            arguments.extend(command)
    return Call(_SETTLE, sorted({unit.registry for unit in units}), arguments)


def recorder(redis: Redis) -> Pipeline:
    """A pipeline to hand to RQ's methods, which write into it; it is never executed, only read by `recorded`."""
    return redis.pipeline(transaction=False)


def recorded(pipeline: Any) -> list[tuple[Any, ...]]:
    """The commands that were written into it."""
    return [command for command, _options in pipeline.command_stack]


# ARGV  1 number of units, then for each: registry, entry, time or '', dependents key or '', number of commands, then
#       for each of these: number of its parts, parts. The keys inside them follow RQ_KEY_PREFIX, as all of RQ's do.
_SETTLE = Script("""
local at, answers = 2, {}
for unit = 1, tonumber(ARGV[1]) do
  local before, dependents, verdict = ARGV[at + 2], ARGV[at + 3], 1
  local score = redis.call('ZSCORE', ARGV[at], ARGV[at + 1])
  if not score or (before ~= '' and tonumber(score) > tonumber(before)) then
    verdict = 0
  elseif dependents ~= '' and redis.call('EXISTS', dependents) == 1 then
    verdict = 2
  end
  local count = tonumber(ARGV[at + 4])
  at = at + 5
  for _ = 1, count do
    local size = tonumber(ARGV[at])
    if verdict == 1 then redis.call(unpack(ARGV, at + 1, at + size)) end
    at = at + size + 1
  end
  answers[unit] = verdict
end
return answers
""")

# KEYS  1 worker  2 the worker's executions, then for each queue: started registry, finished registry
# ARGV  1 worker's name  2 start of a job key  3 start of an execution key  4 start of a job's executions key
#       5 start of a result key  6 unix time, then for each job: number of its queue, job id, execution id, start and
#       end as unix time, end as ISO time, seconds it took, seconds it is kept (-1: for ever), result or ''
# Field for field what RQ 3.0 writes for a plain job in `_finalize_success` and `handle_job_success`, where RQ writes
# all fields of the job again and these are the ones that changed.
FINISH = Script("""
local answers, done, seconds = {}, 0, 0
for at = 7, #ARGV, 9 do
  local registries = 3 + 2 * ARGV[at]
  local id, execution, ttl = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 7])
  local job, entry, verdict = ARGV[2] .. id, id .. ':' .. execution, 1
  if not redis.call('ZSCORE', KEYS[registries], entry) then
    verdict = 0
  elseif redis.call('EXISTS', job .. ':dependents') == 1 or redis.call('EXISTS', job) == 0 then
    verdict = 2
  else
    local result = ARGV[5] .. id
    redis.call('HSET', job, 'status', 'finished', 'last_heartbeat', ARGV[at + 5], 'ended_at', ARGV[at + 5])
    if ARGV[at + 8] == '' then
      redis.call('XADD', result, 'MAXLEN', '~', '10', '*', 'type', '1', 'worker_name', ARGV[1],
        'execution_id', execution, 'execution_started_at', ARGV[at + 3], 'execution_ended_at', ARGV[at + 4])
    else
      redis.call('XADD', result, 'MAXLEN', '~', '10', '*', 'type', '1', 'worker_name', ARGV[1],
        'return_value', ARGV[at + 8],
        'execution_id', execution, 'execution_started_at', ARGV[at + 3], 'execution_ended_at', ARGV[at + 4])
    end
    if ttl < 0 then
      redis.call('PERSIST', result)
      redis.call('ZADD', KEYS[registries + 1], '+inf', id)
    else
      redis.call('EXPIRE', result, ttl)
      redis.call('EXPIRE', job, ttl)
      redis.call('ZADD', KEYS[registries + 1], ARGV[6] + ttl, id)
    end
    redis.call('DEL', ARGV[3] .. entry)
    redis.call('ZREM', KEYS[registries], entry)
    redis.call('ZREM', ARGV[4] .. id, execution)
    redis.call('SREM', KEYS[2], entry)
    done, seconds = done + 1, seconds + ARGV[at + 6]
  end
  answers[#answers + 1] = verdict
end
if done > 0 then
  redis.call('HINCRBY', KEYS[1], 'successful_job_count', done)
  redis.call('HINCRBYFLOAT', KEYS[1], 'total_working_time', string.format('%.6f', seconds))
end
return answers
""")

# KEYS  1 suspended mark  2 worker  3 the worker's executions  4 names of paused queues, then for each queue: queue, its
#       started registry
# ARGV  1 worker's name  2 ISO time  3 unix time  4 seconds until the execution is taken for dead
#       5 start of a job key  6 start of an execution key  7 start of a job's executions key  8 how many execution ids
#       9.. these, then the names of the queues
# Gives the places of the paused queues, and what was claimed of the others.
# Field for field what RQ 3.0 writes in Execution.create, Worker.prepare_execution and prepare_job_execution. An id
# whose job is gone is dropped, as RQ does.
CLAIM = Script("""
if redis.call('EXISTS', KEYS[1]) == 1 then return false end
local found, paused, used, ttl = {}, {}, 9, tonumber(ARGV[4])
local dies, last = math.floor(tonumber(ARGV[3])) + ttl, 8 + ARGV[8]
local is_any_paused = redis.call('EXISTS', KEYS[4]) == 1
for queue = 5, #KEYS, 2 do
  local place = (queue - 5) / 2
  local is_paused = is_any_paused and redis.call('SISMEMBER', KEYS[4], ARGV[last + place + 1]) == 1
  if is_paused then paused[#paused + 1] = place end
  while not is_paused and used <= last do
    local id = redis.call('LPOP', KEYS[queue])
    if not id then break end
    local job = ARGV[5] .. id
    if redis.call('HEXISTS', job, 'data') == 1 then
      local execution = ARGV[used]
      local entry = id .. ':' .. execution
      redis.call('ZADD', KEYS[queue + 1], dies, entry)
      redis.call('HSET', ARGV[6] .. entry, 'id', execution, 'job_id', id, 'created_at', ARGV[3],
        'last_heartbeat', ARGV[3], 'worker_name', ARGV[1])
      redis.call('EXPIRE', ARGV[6] .. entry, ttl)
      redis.call('ZADD', ARGV[7] .. id, dies + 60, execution)
      redis.call('EXPIRE', ARGV[7] .. id, ttl + 60)
      redis.call('SADD', KEYS[3], entry)
      redis.call('HSET', job, 'last_heartbeat', ARGV[2], 'status', 'started', 'started_at', ARGV[2],
        'worker_name', ARGV[1])
      redis.call('PERSIST', job)
      found[#found + 1] = { place, id, execution, redis.call('HGETALL', job) }
      used = used + 1
    end
  end
end
if #found > 0 then
  redis.call('EXPIRE', KEYS[3], ttl + 60)
  redis.call('HSET', KEYS[2], 'state', 'busy')
end
return { paused, found }
""")

# KEYS  1 started registry  2 queue  3 job  4 execution  5 the job's executions  6 the worker's executions
# ARGV  1 entry  2 job id  3 execution id
# The way back: as if it had not been claimed.
GIVE_BACK = Script("""
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[3])
redis.call('SREM', KEYS[6], ARGV[1])
redis.call('HSET', KEYS[3], 'status', 'queued', 'started_at', '', 'worker_name', '')
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
""")
