"""Strings of strangers and of customers, in every field that they can name."""

from __future__ import annotations

import json

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import Engine

from seamkeeper import attempts, audit, clock, dead, desired, history, issues, journal, policies, replays, resyncs
from seamkeeper.dead import Failure, Subject
from seamkeeper.keys import Keys
from seamkeeper.replays import Chosen, Plan, until_now
from tests.console.web.conftest import accept, keep_event, keep_user, queues_of

MARKUP = (
    "</title><script>document.title='taken';alert(1)</script><img src=x onerror=\"alert(2);document.title='taken'\">"
)
QUOTES = "\"'><svg onload=alert(3)>'\" onfocus=alert(4) autofocus x='"
BRACES = "{{ 7 * 7 }}{% raw %}${alert(5)}<%= 1 %>"
BIDI = "\u202egnp.exe\u2066\u200b\u0000\u0007\ud83d"
LONG = "W" * 300
ALL = f"{MARKUP}{QUOTES}{BRACES}{BIDI}"
# a name of Seam's (an id, a type) is 1 to 200 printable characters; between attributes a slash is as good as a space
ID = f"a/../b?c#d%2f{MARKUP}{QUOTES}{BRACES}".replace(" ", "/")[:190]
EVENT = f"e{ID}"
TYPE = f"{MARKUP}{QUOTES}".replace(" ", "/")[:200]


def infest(engine: Engine, redis: Redis) -> None:
    """One user, one event, one dead letter, one job, one worker, one of everything, all named by somebody hostile."""
    told = ALL.replace("\x00", "\ufffd").replace("\ud83d", "?")  # what a store of ours takes
    _people(engine, told)
    keep_event(engine, EVENT, status="dead", reason=told, at=clock.now(), cause=told[:150], event_type=TYPE,
               acs_user_id=ID, acs_system_id=ID)  # fmt: skip
    with engine.begin() as connection:
        line = audit.begin(connection, who=told, role="admin", action="user.sync", kind="user", subject_id=ID)
        audit.end(connection, line, "refused", reason=told, detail={"cause": told})
        chosen = until_now(Chosen(search=told, event_type=TYPE, acs_user_id=ID))
        replays.start(connection, chosen, Plan(1, 1, {}, 1, 1), rate=60, by=told, reason=told)
        attempt = attempts.begin(connection, job_id=EVENT, job="handle_event", event_id=EVENT)
        attempts.end(connection, attempt, "dead", reason=told)
        job = Subject("job", ID, told[:100], TYPE, ID, ID)
        dead.write(connection, job, Failure(told, told[:150], told[:40]), tries=3)
        policies.set_policy(connection, "system", told[:100], by=told[:100], repair="off", reason=told)
        journal.write_unreadable(connection, told[:100], told, told, journal.Arrival(clock.now(), "webhook", told[:60]))
    _jobs(redis, told)


def _people(engine: Engine, told: str) -> None:
    code = {"error_code": told, "message": told}
    warning = {"warning_code": "salto_ks_user_not_subscribed", "message": told}
    drift = {"full_name": {"observed": told, "desired": LONG}}
    keep_user(
        engine, ID, name=told, sync="drifted", health="error", drift=drift, reason=told, errors=[code],
        warnings=[warning], email_address=told, phone_number=told, acs_system_id=ID,
        external_type_display_name=told, pending_mutations=[{"mutation_code": told}],
    )  # fmt: skip
    keep_user(
        engine, "u-long", name=LONG, email_address=f"{LONG}@{LONG}", phone_number=LONG, reason=LONG, sync="failed"
    )
    with engine.begin() as connection:
        resyncs.change(connection, ID, name=told, brand=told, trouble=told, began_at=clock.now())
        desired.set_desired(connection, ID, {"full_name": LONG, "email_address": told}, by=told)
        history.note_change(connection, ID, told[:60], {"full_name": {"from": told, "to": LONG}}, source=told[:20])
        issues.raise_finding(connection, "too_many_missing", acs_system_id=ID, message=told, detail={"who": told})


def _jobs(redis: Redis, told: str) -> None:
    queue = Queue("events", connection=redis, serializer=JSONSerializer)
    queue.enqueue("workers.jobs.handle_event", told, told, description=told, job_id="hostile-job", meta={"x": told})
    accept(redis, "e-hostile", event_type=TYPE, acs_user_id=ID)
    queues_of(redis).ask_reconcile(ID, why=told, source=told)
    redis.sadd("rq:workers", f"rq:worker:{told}")
    fields = {"state": "busy", "last_heartbeat": clock.iso(clock.now()), "hostname": told, "seamkeeper_version": told,
              "version": told, "queues": told, "current_job": "hostile-job"}  # fmt: skip
    redis.hset(f"rq:worker:{told}", mapping=fields)
    line = {"outcome": told, "delivery_id": told, "sender": told, "at": clock.iso(clock.now())}
    redis.lpush(Keys().rejected(), json.dumps(line))
