"""How work becomes an RQ job; the only file that knows Redis keys.

Every write that puts a job into a queue is one Lua call which looks before it pushes: redis-py repeats a command whose
answer was lost, and a plain RPUSH would then stand in the queue twice. What is written is field for field what RQ 3.0
writes itself (`tests/seamkeeper/test_queues.py` compares), so a stock `rq worker -S json` runs it.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from seamkeeper import clock

EVENTS, RECONCILE, RESYNC = "events", "reconcile", "resync"
QUEUES = (EVENTS, RECONCILE, RESYNC)  # in the order in which work matters

# Jobs are named by strings: the doors that queue them never import the door that runs them.
HANDLE_EVENT = "workers.jobs.handle_event"
KEEP_UNREADABLE = "workers.jobs.keep_unreadable"
RECONCILE_USER = "workers.jobs.reconcile_user"
REACT_TO_CHANGE = "workers.jobs.react_to_change"
RESYNC_SYSTEM = "workers.jobs.resync_system"
RESYNC_ACCOUNT = "workers.jobs.resync_account"
RESYNC_ALL = "workers.jobs.resync_all"
RUN_OWN_REACTION = "workers.jobs.run_own_reaction"
SEND_NOTICE = "workers.jobs.send_notice"

_RESULT_TTL = timedelta(hours=1)
_FAILURE_TTL = timedelta(days=30)
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # what RQ accepts


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of our keys and of RQ's. All follow RQ_KEY_PREFIX, so a hash tag in it keeps them in one slot."""

    prefix: str = "rq"

    def queue(self, name: str) -> str:
        return f"{self.prefix}:queue:{name}"

    def queues(self) -> str:
        return f"{self.prefix}:queues"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}"

    def workers(self) -> str:
        return f"{self.prefix}:workers"

    def scheduler_lock(self, queue: str) -> str:
        return f"{self.prefix}:scheduler-lock:{queue}"

    def failed(self, queue: str) -> str:
        return f"{self.prefix}:failed:{queue}"

    def scheduled(self, queue: str) -> str:
        return f"{self.prefix}:scheduled:{queue}"

    def seen(self, event_id: str) -> str:
        return f"{self.prefix}:seamkeeper:seen:{event_id}"

    def waiting(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:waiting:{acs_user_id}"

    def later(self, acs_user_id: str, step: int) -> str:
        return f"{self.prefix}:seamkeeper:later:{step}:{acs_user_id}"

    def turn(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:turn:{acs_user_id}"

    def asked(self, job_id: str) -> str:
        return f"{self.prefix}:seamkeeper:asked:{job_id}"

    def told(self, notice: str) -> str:
        return f"{self.prefix}:seamkeeper:told:{notice}"

    def counters(self) -> str:
        return f"{self.prefix}:seamkeeper:counters"

    def rejected(self) -> str:
        return f"{self.prefix}:seamkeeper:rejected"


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: the function by name, its keyword arguments (JSON), and words for `rq info`.

    `description` must hold no payload: RQ writes it to its log.
    """

    job_id: str
    function: str
    arguments: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Terms:
    """How jobs are run: longest time, and seconds before each new try."""

    timeout: timedelta = timedelta(seconds=60)
    retry_delays: Sequence[int] = (5, 15, 60, 300, 900, 3600)

    def fields(self, queue: str) -> dict[str, str | int]:
        """What all jobs of a queue have in common, as RQ's job hash holds it (rq 3.0 `Job.to_dict`)."""
        return {
            "success_callback_name": "",
            "failure_callback_name": "",
            "stopped_callback_name": "",
            "started_at": "",
            "ended_at": "",
            "last_heartbeat": "",
            "worker_name": "",
            "group_id": "",
            "retries_left": len(self.retry_delays),
            "retry_intervals": json.dumps([jittered(delay) for delay in self.retry_delays]),
            "origin": queue,
            "timeout": int(self.timeout.total_seconds()),
            "result_ttl": int(_RESULT_TTL.total_seconds()),
            "failure_ttl": int(_FAILURE_TTL.total_seconds()),
        }


def jittered(seconds: float) -> int:
    """The delay ±20 %, whole seconds, at least 1: many jobs that failed together must not come back together."""
    return max(1, round(seconds * random.uniform(0.8, 1.2)))  # noqa: S311 (spreading load, not a secret)


def data(job: Job) -> bytes:
    """The call as RQ's JSONSerializer writes it, compressed as RQ does."""
    return zlib.compress(json.dumps([job.function, None, [], dict(job.arguments)]).encode(), 1)


def job_id_for(name: str) -> str:
    """A job id RQ accepts: the name itself where it can be, else its hash."""
    return name if _JOB_ID.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


def event_job(event_id: str, event_type: str, body: str, *, received_at: datetime, source: str, delivery: str) -> Job:
    """The job that an accepted event becomes; its id is the event's, so the two are found together."""
    arguments = {"body": body, "received_at": clock.iso(received_at), "source": source, "delivery_id": delivery}
    return Job(job_id_for(event_id), HANDLE_EVENT, arguments, f"{event_type} {event_id}")


def unreadable_job(name: str, body: str, *, reason: str, received_at: datetime, delivery: str) -> Job:
    """The job that keeps a signed body which is no event."""
    arguments = {"body": body, "reason": reason, "received_at": clock.iso(received_at), "delivery_id": delivery}
    return Job(name, KEEP_UNREADABLE, {"name": name, **arguments}, f"unreadable body {name}")


# KEYS  1 queue  2 queues  3 counters  4 failed registry  then per job: seen key, job key
# ARGV  1 dedupe seconds  2 queue key's fields (n)  3.. n values  then per job: id, data, description, time
# Gives one 1 (queued) or 0 (seen before) per job.
ACCEPT = """
local common = {}
local n = tonumber(ARGV[2])
for i = 1, n do common[i] = ARGV[2 + i] end
local answers, queued, a, k = {}, {}, 3 + n, 5
while k < #KEYS do
  local id, now = ARGV[a], ARGV[a + 3]
  if redis.call('SET', KEYS[k], id, 'NX', 'EX', ARGV[1]) then
    if redis.call('DEL', KEYS[k + 1]) == 1 then redis.call('ZREM', KEYS[4], id) end
    redis.call('HSET', KEYS[k + 1], 'created_at', now, 'data', ARGV[a + 1], 'description', ARGV[a + 2],
               'enqueued_at', now, 'status', 'queued', unpack(common))
    queued[#queued + 1] = id
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
  a, k = a + 4, k + 2
end
if #queued > 0 then
  redis.call('SADD', KEYS[2], KEYS[1])
  redis.call('RPUSH', KEYS[1], unpack(queued))
  redis.call('HINCRBY', KEYS[3], 'webhook_requests:accepted', #queued)
end
if #queued < #answers then redis.call('HINCRBY', KEYS[3], 'webhook_requests:duplicate', #answers - #queued) end
return answers
"""


def accept_call(
    keys: Keys, common: Sequence[str | int], jobs: Sequence[tuple[str, Job]], *, at: datetime, dedupe: timedelta
) -> tuple[list[str], list[str | bytes | int]]:
    """KEYS and ARGV of `ACCEPT` for (name to remember, job) pairs: dedupe and enqueue in one atomic step.

    `common` is `flatten(terms.fields(EVENTS))`, made once.
    """
    names = [keys.queue(EVENTS), keys.queues(), keys.counters(), keys.failed(EVENTS)]
    arguments: list[str | bytes | int] = [int(dedupe.total_seconds()), len(common), *common]
    stamp = clock.iso(at)
    for name, job in jobs:
        names += (keys.seen(name), keys.job(job.job_id))
        arguments += (job.job_id, data(job), job.description, stamp)
    return names, arguments


def flatten(fields: Mapping[str, str | int]) -> list[str | int]:
    """Field, value, field, value: as HSET takes them."""
    return [part for pair in fields.items() for part in pair]


# KEYS  1 mark  2 queue  3 queues  4 job  5 scheduled registry
# ARGV  1 job id  2 start of a job key  3 due (unix seconds, 0 = now)  4.. fields of the job
# Many asks before a run are one run: the mark names the job that waits. It counts only while that job really waits,
# so nobody is silenced by a job that was deleted elsewhere.
_ASK = """
local waiting = redis.call('GET', KEYS[1])
if waiting then
  local status = redis.call('HGET', ARGV[2] .. waiting, 'status')
  if status == 'queued' or status == 'scheduled' or status == 'started' then return waiting end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', 172800)
redis.call('HSET', KEYS[4], unpack(ARGV, 4))
redis.call('SADD', KEYS[3], KEYS[2])
if ARGV[3] == '0' then
  redis.call('RPUSH', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
end
return ARGV[1]
"""

# KEYS  1 mark  2 queue  3 queues  4 job  5 failed registry    ARGV  1 job id  2 who asks  3.. fields of the job
# Once for each who asks, however often that one is tried; another (a replay) is heard once the first job has ended.
_ASK_FOR_ONE = """
local asked, status = redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[4], 'status')
redis.call('SET', KEYS[1], ARGV[2], 'EX', 604800)
if asked == ARGV[2] or status == 'queued' or status == 'scheduled' or status == 'started' then return 0 end
if redis.call('DEL', KEYS[4]) == 1 then redis.call('ZREM', KEYS[5], ARGV[1]) end
redis.call('HSET', KEYS[4], unpack(ARGV, 3))
redis.call('SADD', KEYS[3], KEYS[2])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
"""

# KEYS  1 turn  2 waiting mark  3 later mark    ARGV  1 token  2 milliseconds  3 job id
# Taking the turn ends the waiting: an ask from here on is one more run. A call that redis-py repeats because its answer
# was lost finds its own token: the turn is ours, not another's.
_TAKE_TURN = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if redis.call('GET', KEYS[2]) == ARGV[3] then redis.call('DEL', KEYS[2]) end
if redis.call('GET', KEYS[3]) == ARGV[3] then redis.call('DEL', KEYS[3]) end
return 1
"""

# KEYS  1 turn    ARGV  1 token
_GIVE_TURN_BACK = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Queues:
    """Asking for work, and the turn of a user, over one Redis connection pool."""

    def __init__(self, redis: Any, *, keys: Keys, terms: Terms) -> None:
        self.redis, self.keys, self.terms = redis, keys, terms
        self._ask = redis.register_script(_ASK)
        self._ask_for_one = redis.register_script(_ASK_FOR_ONE)
        self._take_turn = redis.register_script(_TAKE_TURN)
        self._give_turn_back = redis.register_script(_GIVE_TURN_BACK)

    def ask_reconcile(
        self, acs_user_id: str, *, why: str, source: str, delay: timedelta | None = None, step: int = 0,
        queue: str = RECONCILE,
    ) -> str:  # fmt: skip
        """Asks for a reconcile of one user and gives the id of the job that will do it, new or already waiting.

        With `delay` it is a later look (after a write), which does not stand in the way of an ask for now, nor of a
        look of another step. `step` counts the later looks.
        """
        job = Job(
            job_id=f"reconcile-{job_id_for(acs_user_id)}-{uuid.uuid4().hex[:8]}",
            function=RECONCILE_USER,
            arguments={"acs_user_id": acs_user_id, "why": why, "source": source, "step": step},
            description=f"reconcile {acs_user_id} ({why})",
        )
        mark = self.keys.later(acs_user_id, step) if delay else self.keys.waiting(acs_user_id)
        return self._ask_once(mark, job, queue=queue, delay=delay)

    def ask_resync(self, function: str, name: str, *, why: str) -> str:
        """Asks for a resync: of one access system (`RESYNC_SYSTEM`), of an account's (`RESYNC_ACCOUNT`), or of all
        that Seam shows us (`RESYNC_ALL`, with a name of its own)."""
        job = Job(
            job_id=f"resync-{job_id_for(name)}-{uuid.uuid4().hex[:8]}",
            function=function,
            arguments={"name": name, "why": why},
            description=f"resync {name} ({why})",
        )
        return self._ask_once(self.keys.waiting(f"{function}:{name}"), job, queue=RESYNC, delay=None)

    def ask_reactions(self, change: str, acs_user_id: str, *, detail: Mapping[str, Any], source: str) -> str:
        """Asks for the reactions to a change, in a second: who asks has not yet committed what they will read."""
        job = Job(
            job_id=f"change-{job_id_for(acs_user_id)}-{uuid.uuid4().hex[:8]}",
            function=REACT_TO_CHANGE,
            arguments={"change": change, "acs_user_id": acs_user_id, "detail": dict(detail), "source": source},
            description=f"{change} {acs_user_id}",
        )
        return self._ask_once(self.keys.waiting(job.job_id), job, queue=EVENTS, delay=timedelta(seconds=1))

    def ask_own_reaction(self, name: str, happening: str, subject: str, packed: Mapping[str, Any], *, by: str) -> bool:
        """Asks for one function of the customer's own, for one event or change; True when it is a new job.

        `subject` names the event or change, `by` the run that asks: its later tries ask for nothing again, a replay
        does, once the job has ended. The job stands among the reconciles: slow functions hold up no event.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        job = Job(
            job_id=job_id_for(f"own-{subject}-{digest}"),
            function=RUN_OWN_REACTION,
            arguments={"name": name, "happening": happening, **packed},
            description=f"{name} for {happening} {subject}",
        )
        names = [self.keys.asked(job.job_id), self.keys.queue(RECONCILE), self.keys.queues()]
        names += [self.keys.job(job.job_id), self.keys.failed(RECONCILE)]
        fields = self._fields(job, RECONCILE, at=clock.now(), is_later=False)
        return bool(self._ask_for_one(keys=names, args=[job.job_id, by, *flatten(fields)]))

    def ask_notice(self, name: str, about: Mapping[str, Any], *, delay: timedelta | None) -> str:
        """Asks for the sending of one notice, which waits under this name in the table."""
        job = Job(
            job_id=f"notice-{uuid.uuid4().hex}",
            function=SEND_NOTICE,
            arguments={"name": name, "about": dict(about)},
            description=f"notice {name}",
        )
        return self._ask_once(self.keys.waiting(f"notice:{name}"), job, queue=EVENTS, delay=delay)

    def resync_begins(self, function: str, name: str) -> None:
        """From here on an ask is one more resync."""
        self.redis.delete(self.keys.waiting(f"{function}:{name}"))

    def take_turn(self, acs_user_id: str, *, job_id: str, lasts: timedelta, step: int = 0) -> str | None:
        """A token when the user's turn is ours now, None when another run has it. It ends by itself after `lasts`."""
        token = uuid.uuid4().hex
        names = [self.keys.turn(acs_user_id), self.keys.waiting(acs_user_id), self.keys.later(acs_user_id, step)]
        taken = self._take_turn(keys=names, args=[token, int(lasts.total_seconds() * 1000), job_id])
        return token if taken else None

    def give_turn_back(self, acs_user_id: str, token: str) -> None:
        """Ends the turn, if it is still ours."""
        self._give_turn_back(keys=[self.keys.turn(acs_user_id)], args=[token])

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter that /metrics shows; `name` is `metric:label`."""
        self.redis.hincrby(self.keys.counters(), name, by)

    def _ask_once(self, mark: str, job: Job, *, queue: str, delay: timedelta | None) -> str:
        at = clock.now()
        fields = self._fields(job, queue, at=at, is_later=bool(delay))
        due = int((at + delay).timestamp()) if delay else 0
        keys = self.keys
        names = [mark, keys.queue(queue), keys.queues(), keys.job(job.job_id), keys.scheduled(queue)]
        answer = self._ask(keys=names, args=[job.job_id, keys.job(""), due, *flatten(fields)])
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def _fields(self, job: Job, queue: str, *, at: datetime, is_later: bool) -> dict[str, Any]:
        fields: dict[str, Any] = {"created_at": clock.iso(at), "data": data(job), "description": job.description}
        fields |= {"status": "scheduled"} if is_later else {"status": "queued", "enqueued_at": clock.iso(at)}
        return fields | self.terms.fields(queue)


def queued_event(queues: Queues, event_id: str) -> dict[str, Any] | None:
    """An accepted event as `events show` gives it, while only its job knows of it; None when there is no such job."""
    fields = queues.redis.hgetall(queues.keys.job(job_id_for(event_id)))
    if not fields:
        return None
    function, _instance, _args, arguments = json.loads(zlib.decompress(fields[b"data"]))
    if function != HANDLE_EVENT:
        return None
    payload = json.loads(arguments["body"])
    names = ("event_id", "event_type", "workspace_id", "acs_user_id", "acs_system_id", "occurred_at")
    shown = {name: payload.get(name) for name in names}
    shown |= {name: arguments[name] for name in ("source", "received_at", "body")}
    return shown | {"status": "queued", "settled_at": None, "reason": None, "attempts": []}
