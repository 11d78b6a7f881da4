"""How work becomes an RQ job.

Every write that puts a job into a queue is one Lua call which looks before it pushes: redis-py repeats a command whose
answer was lost, and a plain RPUSH would then stand in the queue twice. What is written is field for field what RQ 3.0
writes itself (`tests/seamkeeper/test_queues.py` compares), so a stock `rq worker -S json` runs it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from seamkeeper import clock, turn
from seamkeeper.keys import Keys
from seamkeeper.rqjob import Job, Terms, data, flatten, job_id_for
from seamkeeper.turn import Turns, due_at, text
from seamkeeper.turn_scripts import IS_WAITING

EVENTS, RECONCILE, RESYNC = "events", turn.RECONCILE, turn.RESYNC
QUEUES = (EVENTS, RECONCILE, RESYNC)  # in the order in which work matters

# Jobs are named by strings: the doors that queue them never import the door that runs them.
HANDLE_EVENT = "workers.jobs.handle_event"
KEEP_UNREADABLE = "workers.jobs.keep_unreadable"
RECONCILE_USER = turn.RECONCILE_USER
REACT_TO_CHANGE = "workers.jobs.react_to_change"
RESYNC_SYSTEM = "workers.jobs.resync_system"
RESYNC_ACCOUNT = "workers.jobs.resync_account"
RESYNC_ALL = "workers.jobs.resync_all"
LOOK_AT_SYSTEMS = "workers.jobs.look_at_systems"
RUN_OWN_REACTION = "workers.jobs.run_own_reaction"
SEND_NOTICE = "workers.jobs.send_notice"
PROBE_SYSTEM = "workers.jobs.probe_system"
BACKFILL = "workers.jobs.backfill_by_the_clock"
BACKFILL_SPAN = "workers.jobs.backfill_span"
RECOVER = "workers.jobs.recover"
CHECK_REGISTRATION = "workers.jobs.check_registration"
RUN_REPLAY = "workers.jobs.run_replay"
PRUNE = "workers.jobs.prune"


# KEYS  1 mark  2 queue  3 queues  4 job
# ARGV  1-4 starts of keys (`Turns.starts`)  5 job id  6 due (unix seconds, 0 = now)  7.. fields of the job
_ASK_ONCE = (
    IS_WAITING
    + """
local found = is_waiting(redis.call('GET', KEYS[1]))
if found then return found end
redis.call('SET', KEYS[1], ARGV[5], 'EX', 172800)
redis.call('HSET', KEYS[4], unpack(ARGV, 7))
redis.call('SADD', KEYS[3], KEYS[2])
if ARGV[6] == '0' then
  redis.call(redis.call('HGET', KEYS[4], 'enqueue_at_front') == '1' and 'LPUSH' or 'RPUSH', KEYS[2], ARGV[5])
else
  redis.call('ZADD', SCHEDULED .. redis.call('HGET', KEYS[4], 'origin'), ARGV[6], ARGV[5])
end
return ARGV[5]
"""
)

# KEYS  1 mark    ARGV  1-4 starts of keys  5 own job    Gives 0 when another job waits: its run serves this ask, too.
_BEGIN_ONCE = (
    IS_WAITING
    + """
local marked = redis.call('GET', KEYS[1])
if marked ~= ARGV[5] and is_waiting(marked) then return 0 end
redis.call('DEL', KEYS[1])
return 1
"""
)

# KEYS  1 mark    ARGV  1-4 starts of keys  5 own job
_WAIT_AGAIN = (
    IS_WAITING
    + """
if not is_waiting(redis.call('GET', KEYS[1])) then redis.call('SET', KEYS[1], ARGV[5], 'EX', 172800) end
return 1
"""
)

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


class Queues(Turns):
    """Asking for work, and the turn of a user (seamkeeper/turn.py), over one Redis connection pool."""

    def __init__(self, redis: Any, *, keys: Keys, terms: Terms) -> None:
        super().__init__(redis, keys=keys, terms=terms)
        self._ask_once_script = redis.register_script(_ASK_ONCE)
        self._ask_for_one = redis.register_script(_ASK_FOR_ONE)
        self._begin_once, self._wait_again = (redis.register_script(each) for each in (_BEGIN_ONCE, _WAIT_AGAIN))

    def ask_resync(self, function: str, name: str, *, why: str, goes_on: bool = False) -> str:
        """Asks for a resync: of one access system (`RESYNC_SYSTEM`), of an account's (`RESYNC_ACCOUNT`), or of all
        that Seam shows us (`RESYNC_ALL`, with a name of its own). `goes_on`: no new one, but the next slice of the one
        under way; neither stands for the other. One that waits to be tried again comes now."""
        job = Job(
            job_id=f"resync-{job_id_for(name)}-{uuid.uuid4().hex[:8]}",
            function=function,
            arguments={"name": name, "why": why} | ({"goes_on": True} if goes_on else {}),
            description=f"resync {name} ({why})",
        )
        found = self.ask_once(self._resync_mark(function, name, goes_on), job, queue=RESYNC, delay=None)
        if found != job.job_id:  # that one may wait for its next try, an hour from now
            self.redis.zadd(self.keys.scheduled(RESYNC), {found: int(clock.now().timestamp())}, xx=True, lt=True)
        return found

    def ask_reactions(self, change: str, acs_user_id: str, *, detail: Mapping[str, Any], source: str) -> str:
        """Asks for the reactions to a change, in a second: who asks has not yet committed what they will read."""
        job = Job(
            job_id=f"change-{job_id_for(acs_user_id)}-{uuid.uuid4().hex[:8]}",
            function=REACT_TO_CHANGE,
            arguments={"change": change, "acs_user_id": acs_user_id, "detail": dict(detail), "source": source},
            description=f"{change} {acs_user_id}",
        )
        return self.ask_once(self.keys.waiting(job.job_id), job, queue=EVENTS, delay=timedelta(seconds=1))

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
        return self.ask_once(self.keys.waiting(f"notice:{name}"), job, queue=EVENTS, delay=delay)

    def ask_probe(self, acs_system_id: str, *, why: str, delay: timedelta | None = None) -> str:
        """Asks for a look whether an access system answers again, and for its parked users when it does. One that
        waits for its time does not stand in the way of one for now."""
        job = Job(
            job_id=f"probe-{job_id_for(acs_system_id)}-{uuid.uuid4().hex[:8]}",
            function=PROBE_SYSTEM,
            arguments={"name": acs_system_id, "why": why},
            description=f"probe {acs_system_id} ({why})",
        )
        return self.ask_once(self._probe_marks(acs_system_id)[bool(delay)], job, queue=RECONCILE, delay=delay)

    def probe_begins(self, acs_system_id: str, *, job_id: str) -> None:
        """From here on an ask is one more probe."""
        for mark in self._probe_marks(acs_system_id):
            if self.redis.get(mark) == job_id.encode():
                self.redis.delete(mark)

    def resync_begins(self, function: str, name: str, *, job_id: str, goes_on: bool = False) -> bool:
        """From here on an ask is one more resync. False when such a one waits already: this one need not be."""
        names = [self._resync_mark(function, name, goes_on)]
        return bool(self._begin_once(keys=names, args=[*self.starts, job_id]))

    def resync_waits(self, function: str, name: str, *, job_id: str, goes_on: bool = False) -> None:
        """It could not be done and is tried again: until then an ask is none more."""
        self._wait_again(keys=[self._resync_mark(function, name, goes_on)], args=[*self.starts, job_id])

    def ask_registration(self, *, repair: bool) -> str:
        """Asks for a look at our webhook at Seam now; `repair`: and that it be put right, whatever the setting says."""
        job = Job(
            job_id=f"registration-{uuid.uuid4().hex[:8]}",
            function=CHECK_REGISTRATION,
            arguments={"repair": True} if repair else {},  # an older worker knows no such argument
            description="registration (repair)" if repair else "registration (look)",
        )
        return self.ask_once(self.keys.waiting(job.description), job, queue=RESYNC, delay=None, is_at_front=True)

    def ask_replay(self, replay_id: int, *, delay: timedelta | None = None) -> str:
        """Asks for the next step of a replay. It stands behind live work and before a resync: it is short."""
        job = Job(
            job_id=f"replay-{replay_id}-{uuid.uuid4().hex[:8]}",
            function=RUN_REPLAY,
            arguments={"replay_id": replay_id},
            description=f"replay {replay_id}",
        )
        mark = self.keys.waiting(f"{RUN_REPLAY}:{replay_id}")
        return self.ask_once(mark, job, queue=RESYNC, delay=delay, is_at_front=True)

    def replay_begins(self, replay_id: int, *, job_id: str) -> bool:
        """The step is this job's, until its end or for as long as a job may run. False: another is at it, or waits."""
        names = [self.keys.waiting(f"{RUN_REPLAY}:{replay_id}")]
        if not self._begin_once(keys=names, args=[*self.starts, job_id]):
            return False
        key, lasts = self.keys.replay(replay_id), self.terms.timeout + timedelta(seconds=15)
        return bool(self.redis.set(key, job_id, nx=True, ex=lasts)) or self.redis.get(key) == job_id.encode()

    def replay_ends(self, replay_id: int, *, job_id: str) -> None:
        """The step is over."""
        if self.redis.get(self.keys.replay(replay_id)) == job_id.encode():
            self.redis.delete(self.keys.replay(replay_id))

    def pause_queue(self, name: str) -> bool:
        """Our workers take nothing more from it; what runs ends, and what comes waits. False: it was paused already."""
        return bool(self.redis.sadd(self.keys.paused_queues(), name))

    def resume_queue(self, name: str) -> bool:
        """They take from it again, within a second. False: it was not paused."""
        return bool(self.redis.srem(self.keys.paused_queues(), name))

    def paused_queues(self) -> frozenset[str]:
        """Those that are paused."""
        return frozenset(text(name) for name in self.redis.smembers(self.keys.paused_queues()))

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter that /metrics shows; `name` is `metric:label`."""
        self.redis.hincrby(self.keys.counters(), name, by)

    def count_all(self, fields: Mapping[str, int]) -> None:
        """Adds to several counters in one trip."""
        pipeline = self.redis.pipeline(transaction=False)
        for name, by in fields.items():
            pipeline.hincrby(self.keys.counters(), name, by)
        pipeline.execute()

    def _resync_mark(self, function: str, name: str, goes_on: bool) -> str:
        return self.keys.waiting(f"{function}:{name}{' goes on' if goes_on else ''}")

    def _probe_marks(self, acs_system_id: str) -> tuple[str, str]:
        name = f"{PROBE_SYSTEM}:{acs_system_id}"
        return self.keys.waiting(name), self.keys.later(name, 0)

    def ask_once(
        self, mark: str, job: Job, *, queue: str, delay: timedelta | None = None, is_at_front: bool = False
    ) -> str:
        """Puts a job into its queue unless the one that the mark names waits there; gives the id of who waits."""
        at = clock.now()
        fields = self._fields(job, queue, at=at, is_later=bool(delay)) | (
            {"enqueue_at_front": 1} if is_at_front else {}
        )
        due = due_at(at + delay) if delay else 0
        names = [mark, self.keys.queue(queue), self.keys.queues(), self.keys.job(job.job_id)]
        return text(self._ask_once_script(keys=names, args=[*self.starts, job.job_id, due, *flatten(fields)]))

    def _fields(self, job: Job, queue: str, *, at: datetime, is_later: bool) -> dict[str, Any]:
        fields: dict[str, Any] = {"created_at": clock.iso(at), "data": data(job), "description": job.description}
        fields |= {"status": "scheduled"} if is_later else {"status": "queued", "enqueued_at": clock.iso(at)}
        return fields | self.terms.fields(queue)
