"""When a store does not answer: a sentence, the filter kept, 503."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper.queues import Queues
from seamkeeper.settings import Settings
from tests.console.web.conftest import Open, keep_event

NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture(params=["file", "server", "no-tables"])
def no_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Addresses of databases that cannot be read."""
    return {
        "file": f"sqlite:///{tmp_path}",
        "server": "postgresql+psycopg://seam:s3cret@127.0.0.1:1/none",
        "no-tables": f"sqlite:///{tmp_path / 'empty.db'}",
    }[str(request.param)]


@pytest.mark.parametrize(
    "path",
    ["/", "/queues", "/queues/events/failed", "/jobs/e1", "/dead", "/settings", "/events/rejected"],
)
def test_redis_is_down(sqlite_settings: Settings, open_site: Open, path: str) -> None:
    """Every page that needs it says so, and has its frame."""
    with open_site(replace(sqlite_settings, redis_url=NO_REDIS)) as site:
        answer = site.get(path)

    assert answer.status_code == 503
    assert "Redis could not be read" in answer.text
    assert "Try again" in answer.text
    assert "Traceback" not in answer.text


def test_events_are_read_without_redis(settings: Settings, open_site: Open, engine: Engine) -> None:
    """The journal is in the database: the list and an event stay whole."""
    keep_event(engine, "e1")

    with open_site(replace(settings, redis_url=NO_REDIS)) as site:
        assert site.get("/events").status_code == 200
        assert "Redis could not be read" in site.get("/events/e1").text
        assert site.get("/events/e1").status_code == 200
        assert site.get("/events/e2").status_code == 503  # it may be in the queue: 404 would be a guess


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/events?status=dead&type=a.b",
        "/events/e1",
        "/users?search=jack",
        "/users/u1",
        "/dead",
        "/replays",
        "/replays/1",
        "/replay?status=dead",
        "/dead/discard?cause=x",
    ],
)
def test_the_database_is_down(redis_url: str, no_database: str, open_site: Open, path: str) -> None:
    """The driver's words, no statement, no password; the filter is still in the form and in the link."""
    with open_site(Settings(redis_url=redis_url, database_url=no_database)) as site:
        answer = site.get(path)

    assert answer.status_code == 503
    assert "The database could not be read" in answer.text
    assert f'href="{path}">Try again'.replace("&", "&amp;") in answer.text
    for hidden in ("SELECT", "s3cret", "Traceback", "sqlalche.me"):
        assert hidden not in answer.text


def test_nothing_is_done_without_the_database(
    redis: Redis, redis_url: str, no_database: str, open_site: Open
) -> None:  # fmt: skip
    """An action has its line in the audit first: without it nothing is done, and a sentence says so."""
    with open_site(Settings(redis_url=redis_url, database_url=no_database)) as site:
        answer = site.post("/queues/events/pause", headers={"sec-fetch-site": "same-origin"})

    assert answer.status_code == 503
    assert "nothing was done" in answer.text
    assert not redis.keys("*paused*")


def test_queues_are_read_without_the_database(redis_url: str, no_database: str, open_site: Open) -> None:
    """What is in Redis stays readable."""
    with open_site(Settings(redis_url=redis_url, database_url=no_database)) as site:
        assert site.get("/queues").status_code == 200


def test_a_new_database_says_what_to_run(redis_url: str, tmp_path: Path, open_site: Open) -> None:
    """The most likely reason, with its remedy."""
    with open_site(Settings(redis_url=redis_url, database_url=f"sqlite:///{tmp_path / 'new.db'}")) as site:
        assert "<code>seamkeeper migrate</code>" in site.get("/events").text


def test_health(settings: Settings, open_site: Open, redis: Redis) -> None:
    """Alive says nothing of others; ready names what does not answer."""
    with open_site(settings) as site:
        assert site.get("/livez").status_code == 200
        assert site.get("/readyz").json() == {"redis": True, "database": True}
    with open_site(replace(settings, redis_url=NO_REDIS)) as site:
        assert site.get("/livez").status_code == 200
        assert site.get("/readyz").status_code == 503
        assert site.get("/readyz").json() == {"redis": False, "database": True}


def test_a_job_that_nobody_can_read_hides_no_other(settings: Settings, open_site: Open, queues: Queues) -> None:
    """A hash of which nearly nothing is left: the lists show the rest."""
    asked = queues.ask_reconcile("u1", why="a test", source="test")
    queues.redis.hset(queues.keys.job("broken"), "status", "queued")
    queues.redis.rpush(queues.keys.queue("reconcile"), "broken")

    with open_site(settings) as site:
        listed, page = site.get("/queues/reconcile/queued"), site.get("/queues")

    assert (listed.status_code, page.status_code) == (200, 200)
    assert asked in listed.text
