"""How an accepted event becomes an RQ job: dedupe, job and push in one atomic call, of many events at once.

What is written is field for field what RQ 3.0 writes itself (`tests/seamkeeper/test_queues.py` compares).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from seamkeeper import clock
from seamkeeper.keys import Keys
from seamkeeper.queues import EVENTS, HANDLE_EVENT, KEEP_UNREADABLE, Queues
from seamkeeper.rqjob import Job, data, flatten, job_id_for

WEBHOOK, BACKFILLED = "webhook_requests", "backfilled_events"  # by which way events come, as the counters call it


def event_job(event_id: str, event_type: str, body: str, *, received_at: datetime, source: str, delivery: str) -> Job:
    """The job that an accepted event becomes; its id is the event's, so the two are found together."""
    arguments = {"body": body, "received_at": clock.iso(received_at), "source": source, "delivery_id": delivery}
    return Job(job_id_for(event_id), HANDLE_EVENT, arguments, f"{event_type} {event_id}")


def unreadable_job(
    name: str, body: str, *, reason: str, received_at: datetime, delivery: str, source: str = "webhook"
) -> Job:
    """The job that keeps a body of Seam's which is no event."""
    arguments = {"body": body, "reason": reason, "received_at": clock.iso(received_at), "delivery_id": delivery}
    arguments |= {"source": source} if source != "webhook" else {}  # an older worker knows no such argument
    return Job(name, KEEP_UNREADABLE, {"name": name, **arguments}, f"unreadable body {name}")


# KEYS  1 queue  2 queues  3 counters  4 failed registry  then per job: seen key, job key
# ARGV  1 dedupe seconds  2 what the counters are called  3 fields that all jobs share (n)  4.. n values
#       then per job: id, data, description, time
# Gives one 1 (queued) or 0 (seen before) per job. Under the seen key stands how often it was delivered; an older
# version left words there, which count nothing.
ACCEPT = """
local common = {}
local n = tonumber(ARGV[3])
for i = 1, n do common[i] = ARGV[3 + i] end
local answers, queued, a, k = {}, {}, 4 + n, 5
while k < #KEYS do
  local id, now = ARGV[a], ARGV[a + 3]
  local is_delivery = ARGV[2] == 'webhook_requests'
  if redis.call('SET', KEYS[k], is_delivery and 1 or 0, 'NX', 'EX', ARGV[1]) then
    if redis.call('DEL', KEYS[k + 1]) == 1 then redis.call('ZREM', KEYS[4], id) end
    redis.call('HSET', KEYS[k + 1], 'created_at', now, 'data', ARGV[a + 1], 'description', ARGV[a + 2],
               'enqueued_at', now, 'status', 'queued', unpack(common))
    queued[#queued + 1] = id
    answers[#answers + 1] = 1
  else
    if is_delivery then redis.pcall('INCR', KEYS[k]) end
    answers[#answers + 1] = 0
  end
  a, k = a + 4, k + 2
end
if #queued > 0 then
  redis.call('SADD', KEYS[2], KEYS[1])
  redis.call('RPUSH', KEYS[1], unpack(queued))
  redis.call('HINCRBY', KEYS[3], ARGV[2] .. ':accepted', #queued)
end
if #queued < #answers then redis.call('HINCRBY', KEYS[3], ARGV[2] .. ':duplicate', #answers - #queued) end
redis.call('HSET', KEYS[3], ARGV[2] .. '_at', redis.call('TIME')[1])
return answers
"""


def accept_call(
    keys: Keys,
    common: Sequence[str | int],
    jobs: Sequence[tuple[str, Job]],
    *,
    at: datetime,
    dedupe: timedelta,
    counter: str = WEBHOOK,
) -> tuple[list[str], list[str | bytes | int]]:
    """KEYS and ARGV of `ACCEPT` for (name to remember, job) pairs: dedupe and enqueue in one atomic step.

    `common` is `flatten(terms.fields(EVENTS))`, made once. There is at least one job.
    """
    names = [keys.queue(EVENTS), keys.queues(), keys.counters(), keys.failed(EVENTS)]
    arguments: list[str | bytes | int] = [int(dedupe.total_seconds()), counter, len(common), *common]
    stamp = clock.iso(at)
    for name, job in jobs:
        names += (keys.seen(name), keys.job(job.job_id))
        arguments += (job.job_id, data(job), job.description, stamp)
    return names, arguments


def accept(queues: Queues, jobs: Sequence[tuple[str, Job]], *, dedupe: timedelta, counter: str) -> list[bool]:
    """The same for a process that waits for the answer: True for each that was new and is queued now."""
    if not jobs:
        return []
    common = flatten(queues.terms.fields(EVENTS))
    names, arguments = accept_call(queues.keys, common, jobs, at=clock.now(), dedupe=dedupe, counter=counter)
    return [answer == 1 for answer in queues.redis.register_script(ACCEPT)(keys=names, args=arguments)]


def last_at(queues: Queues, counter: str) -> datetime | None:
    """When something came by this way last, new or seen before; None when nothing did (or Redis forgot)."""
    found = queues.redis.hget(queues.keys.counters(), f"{counter}_at")
    return datetime.fromtimestamp(int(found), UTC) if found else None


def deliveries(queues: Queues, event_id: str) -> int | None:
    """How often Seam delivered it, the first time and the duplicates; 0: it was fetched by a backfill. None: nobody
    knows any more, or Redis forgot."""
    found = queues.redis.get(queues.keys.seen(event_id))
    return int(found) if found is not None and found.isdigit() else None


def queued_event(queues: Queues, event_id: str) -> dict[str, Any] | None:
    """An accepted event as `events show` gives it, while only its job knows of it; None when there is no such job.

    Other tools' jobs stand in the same Redis, pickled perhaps: what cannot be read is none of ours.
    """
    packed = queues.redis.hget(queues.keys.job(job_id_for(event_id)), "data")
    try:
        function, _instance, _args, arguments = json.loads(zlib.decompress(packed or b""))
        if function != HANDLE_EVENT:
            return None
        payload = json.loads(arguments["body"])
        names = ("event_id", "event_type", "workspace_id", "acs_user_id", "acs_system_id", "occurred_at")
        shown = {name: payload.get(name) for name in names}
        shown |= {name: arguments[name] for name in ("source", "received_at", "body")}
    except (zlib.error, ValueError, TypeError, KeyError, AttributeError):
        return None
    return shown | {"status": "queued", "settled_at": None, "reason": None, "attempts": []}
