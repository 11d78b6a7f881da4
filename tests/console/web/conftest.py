"""A console over real stores, and people and events to show."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.web.app import create_app
from seamkeeper import attempts, clock, dead, desired, history, issues, journal, mirror
from seamkeeper.accept import ACCEPT, accept_call, event_job
from seamkeeper.dead import Failure, Subject
from seamkeeper.events import read_event
from seamkeeper.journal import Arrival
from seamkeeper.keys import Keys
from seamkeeper.mirror import Verdict
from seamkeeper.queues import Queues
from seamkeeper.rqjob import Terms, flatten
from seamkeeper.settings import Settings

AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
Open = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture
def settings(redis_url: str, database_url: str) -> Settings:
    """What the console is told: the empty Redis and the migrated database of this test."""
    return Settings(redis_url=redis_url, database_url=database_url)


@pytest.fixture
def open_site() -> Open:
    """Opens a console with any settings."""

    @contextmanager
    def opened(settings: Settings, **options: Any) -> Iterator[TestClient]:
        app = create_app(settings, **options)
        with TestClient(
            app, base_url="http://127.0.0.1:8001", raise_server_exceptions=False, follow_redirects=False
        ) as client:
            yield client

    return opened


@pytest.fixture
def site(settings: Settings, open_site: Open) -> Iterator[TestClient]:
    """A console over the stores of this test."""
    with open_site(settings) as client:
        yield client


@pytest.fixture
def sqlite_settings(redis_url: str, tmp_path: Path, migrated_sqlite: Path) -> Settings:
    """The same on SQLite, for what has nothing to do with the kind of database."""
    shutil.copy(migrated_sqlite, tmp_path / "one.db")
    return Settings(redis_url=redis_url, database_url=f"sqlite:///{tmp_path / 'one.db'}")


@pytest.fixture
def site_on_sqlite(sqlite_settings: Settings, open_site: Open) -> Iterator[TestClient]:
    """A console over them."""
    with open_site(sqlite_settings) as client:
        yield client


def payload(event_id: str, event_type: str = "acs_user.created", acs_user_id: str = "u1", **more: Any) -> str:
    """The body of an event as Seam sends it."""
    stamp = clock.iso(AT)
    about = {"event_id": event_id, "event_type": event_type, "workspace_id": "w1", "acs_user_id": acs_user_id}
    return json.dumps(about | {"acs_system_id": "s1", "created_at": stamp, "occurred_at": stamp} | more)


def keep_event(
    engine: Engine,
    event_id: str,
    *,
    status: str = "done",
    reason: str | None = None,
    at: datetime = AT,
    cause: str = "seam:400:invalid_input",
    **about: Any,
) -> None:
    """One event in the journal, with one attempt."""
    body = payload(event_id, **about)
    with engine.begin() as connection:
        journal.write_event(connection, read_event(body), body, Arrival(at, "webhook", "msg_1"))
        attempt = attempts.begin(connection, job_id=event_id, job="handle_event", event_id=event_id)
        outcome = {"dead": "dead", "retrying": "retry"}.get(status, "ok")
        attempts.end(connection, attempt, outcome, reason=reason, next_at=at + timedelta(hours=1))
        journal.settle(connection, event_id, status, reason=reason, cause=cause if reason else None)
        if status == "dead":
            subject = Subject("event", event_id, "handle_event", about.get("event_type", "acs_user.created"),
                              about.get("acs_user_id", "u1"))  # fmt: skip
            dead.write(connection, subject, Failure(reason or "refused", cause), tries=8)


def keep_user(
    engine: Engine, acs_user_id: str, *, name: str = "Jack Doe", sync: str = "in_sync", health: str = "ok",
    drift: dict[str, Any] | None = None, reason: str | None = None, wanted: dict[str, Any] | None = None, **more: Any,
) -> None:  # fmt: skip
    """One user as read from Seam, with what is desired and one line of history."""
    raw = {"acs_user_id": acs_user_id, "acs_system_id": "s1", "display_name": name, "full_name": name, **more}
    with engine.begin() as connection:
        before = mirror.standing(connection, acs_user_id)
        mirror.keep(connection, before, raw, Verdict(sync, drift or {}, reason), health=health, read_at=AT)
        issues.keep_codes(connection, acs_user_id, raw)
        history.note_change(connection, acs_user_id, "acs_user.appeared", {"full_name": name}, source="webhook")
        if wanted:
            desired.set_desired(connection, acs_user_id, wanted, by="a test")


def accept(redis: Redis, *event_ids: str, **about: Any) -> None:
    """Events as the webhook door queues them."""
    pairs = []
    for event_id in event_ids:
        body = payload(event_id, **about)
        event_type = json.loads(body)["event_type"]
        job = event_job(event_id, event_type, body, received_at=clock.now(), source="webhook", delivery="msg_1")
        pairs.append((event_id, job))
    names, arguments = accept_call(
        Keys(), flatten(Terms().fields("events")), pairs, at=clock.now(), dedupe=timedelta(hours=1)
    )
    redis.register_script(ACCEPT)(keys=names, args=arguments)


def queues_of(redis: Redis) -> Queues:
    """Our way to ask for work."""
    return Queues(redis, keys=Keys(), terms=Terms())
