"""The building that browser tests look at: people who are well and people who are not, events, dead letters, jobs."""

from __future__ import annotations

from datetime import timedelta

from redis import Redis
from sqlalchemy import Engine

from seamkeeper import audit, clock, dead, desired, history, issues, mirror, replays
from seamkeeper.database import metadata
from seamkeeper.dead import Failure, Subject
from seamkeeper.replays import Chosen, Plan, until_now
from tests.console.web.conftest import accept, keep_event, keep_user, queues_of

JACK, MINA, TOM, GONE = "u-jack", "u-mina", "u-tom", "u-gone"
DEAD_EVENT, DONE_EVENT = "e-dead", "e-done"
_WRONG_PHONE = Failure(
    "POST update -> 400: phone_number must be E.164", "seam:400:invalid_input", "phone_number", "req1"
)


def furnish(engine: Engine, redis: Redis) -> None:
    """Everything once: each state that a page can show."""
    _people(engine)
    _events(engine, redis)
    _dead(engine)
    queues_of(redis).ask_reconcile(JACK, why="sync by admin", source="operator")
    with engine.begin() as connection:
        chosen = until_now(Chosen(status="dead"))
        replays.start(connection, chosen, Plan(3, 3, {}, 2, 3), rate=600, by="admin")
        line = audit.begin(connection, who="admin", role="admin", action="user.sync", kind="user", subject_id=JACK)
        audit.end(connection, line, "done")


def empty(engine: Engine, redis: Redis) -> None:
    """As on the first day."""
    redis.flushdb()
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


def _people(engine: Engine) -> None:
    drift = {"phone_number": {"observed": "+15555550222", "desired": "+15555550101"}}
    keep_user(
        engine, JACK, sync="drifted", health="warning", drift=drift, wanted={"phone_number": "+15555550101"},
        phone_number="+15555550222", email_address="jack@example.com",
        warnings=[{"warning_code": "salto_ks_user_not_subscribed", "message": "Not subscribed."}],
    )  # fmt: skip
    error = {"error_code": "salto_ks_subscription_limit_exceeded", "message": "No free subscription."}
    keep_user(engine, MINA, name="Mina Patel", health="error", errors=[error], wanted={"full_name": "Mina Patel"})
    keep_user(engine, TOM, name="Tom Becker", sync="unknown")
    keep_user(engine, GONE, name="Zoë Ångström", wanted={"full_name": "Zoë Ångström"})
    with engine.begin() as connection:
        mirror.bury(connection, GONE, read_at=clock.now(), reason="404 from Seam")
        issues.raise_finding(
            connection, "too_many_missing", acs_system_id="s2", message="9 of 12", detail={"missing": 9}
        )
        desired.set_desired(connection, "u-never-read", {"full_name": "Nora New"}, by="a test")
        changed = {"phone_number": {"from": "+15555550101", "to": "+15555550222"}}
        history.note_change(connection, JACK, "acs_user.changed_outside", changed, source="resync")


def _events(engine: Engine, redis: Redis) -> None:
    at = clock.now() - timedelta(minutes=9)
    keep_event(engine, DONE_EVENT, acs_user_id=JACK, at=at)
    keep_event(engine, "e-retrying", status="retrying", reason="Seam 503", acs_user_id=MINA, at=at)
    keep_event(engine, "e-ignored", status="ignored", event_type="lock.locked", at=at, acs_user_id=TOM)
    about = {"event_type": "acs_user.deleted", "acs_user_id": TOM}
    keep_event(engine, DEAD_EVENT, status="dead", reason=_WRONG_PHONE.reason, at=at, **about)
    accept(redis, "e-queued", acs_user_id=TOM)


def _dead(engine: Engine) -> None:
    with engine.begin() as connection:
        of_event = Subject("event", DEAD_EVENT, "workers.jobs.handle_event", "acs_user.deleted", TOM, "s1")
        dead.write(connection, of_event, _WRONG_PHONE, tries=2)
        of_user = Subject("user", MINA, "workers.jobs.reconcile_user", None, MINA, "s1")
        dead.write(connection, of_user, Failure("Seam was silent", "seam:no_answer"), tries=8)
