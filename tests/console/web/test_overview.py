"""Does the first page say what is wrong, the worst first, and what is fine?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.banners import banners
from console.glance import read_kept, read_working
from console.web.sparkline import sparkline
from console.web.state import Console
from seamkeeper import clock, issues, registration
from seamkeeper.keys import Keys
from seamkeeper.registration import Registration
from seamkeeper.settings import Settings
from tests.console.web.conftest import accept, keep_event, keep_user, queues_of
from tests.console.web.test_pages import _words


@pytest.fixture
def console(settings: Settings, engine: Engine, redis: Redis) -> Iterator[Console]:
    """The connections of a console."""
    yield Console(settings, engine, redis)


def test_the_worst_comes_first_and_three_are_shown(site: TestClient, engine: Engine, redis: Redis) -> None:
    """A house without a worker, with a secret that is not ours, refused requests, dead events and a paused queue."""
    keep_event(engine, "e1", status="dead", at=clock.now())
    with engine.begin() as connection:
        issues.raise_finding(connection, "webhook_secret_unknown", message="its deliveries are refused")
    lines = [json.dumps({"at": clock.iso(clock.now()), "outcome": "bad_signature"}) for _ in range(5)]
    old = json.dumps({"at": clock.iso(clock.now() - timedelta(hours=3)), "outcome": "bad_signature"})
    redis.lpush(Keys().rejected(), *lines, old, "not json")
    queues_of(redis).pause_queue("events")

    page = site.get("/").text

    told = [_words(each) for each in re.findall(r'<div class="notice.*?</div>', page, re.DOTALL)]
    assert len(told) == 3
    assert told[0].startswith("No worker is running.")
    assert "secret" in told[1]
    assert told[2].startswith("5 requests with a wrong signature in the last hour.")
    assert re.search(r"And 2 more: 1 dead letter\. Paused: events\.", _words(page))


def test_a_house_in_order_has_no_banner(console: Console) -> None:
    """A worker, a scheduler, a delivery just now, nothing dead."""
    redis = console.redis
    redis.sadd("rq:workers", "rq:worker:w")
    redis.hset("rq:worker:w", mapping={"state": "idle", "last_heartbeat": clock.iso(clock.now())})
    redis.set("rq:scheduler-lock:events", "here-1", ex=60)
    redis.hset(
        Keys().counters(), mapping={"webhook_requests:accepted": 3, "webhook_requests_at": int(clock.now().timestamp())}
    )
    keep_event(console.engine, "e1")

    assert banners(read_kept(console), read_working(console), clock.now()) == []


def test_silence_and_a_backlog(console: Console) -> None:
    """The last delivery, with what Svix does after five days; the oldest job, unless a person paused its queue."""
    redis = console.redis
    accept(redis, "e1")
    redis.hset(Keys().counters(), "webhook_requests_at", int((clock.now() - timedelta(hours=30)).timestamp()))
    redis.hset("rq:job:e1", "enqueued_at", clock.iso(clock.now() - timedelta(minutes=20)))

    found = [banner.what for banner in banners(read_kept(console), read_working(console), clock.now())]
    queues_of(redis).pause_queue("events")
    paused = [banner.what for banner in banners(read_kept(console), read_working(console), clock.now())]

    assert [what for what in found if what.startswith("No delivery for 1.")]
    assert [what for what in found if what.startswith("The oldest waiting job has waited 2")]
    assert not [what for what in paused if "oldest" in what]
    assert "Paused: events." in paused


def test_what_was_seen_is_ticked(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Steps of the first run, each by its own trace; gone with the first event."""
    assert _ticked(site.get("/").text) == []

    redis.sadd("rq:workers", "rq:worker:w")
    redis.hset("rq:worker:w", mapping={"state": "idle", "last_heartbeat": clock.iso(clock.now())})
    redis.hset(
        Keys().counters(), mapping={"seam_api_requests:/acs/users/get:200": 1, "webhook_requests:bad_signature": 1}
    )
    assert _ticked(site.get("/").text) == ["Start a worker and the scheduler", "Give an API key"]

    redis.lpush(Keys().rejected(), json.dumps({"at": clock.iso(clock.now()), "outcome": "bad_signature"}))
    with engine.begin() as connection:
        registration.write(connection, Registration(url="https://x.example/webhooks/seam", state="ok"))
    keep_user(engine, "u1")
    assert len(_ticked(site.get("/").text)) == 5

    keep_event(engine, "e1")
    assert "No event yet" not in site.get("/").text


def test_the_last_line(site: TestClient, engine: Engine, redis: Redis) -> None:
    """The webhook, workers and resync, in one look."""
    keep_event(engine, "e1")
    with engine.begin() as connection:
        known = Registration(url="https://x.example/webhooks/seam", state="ok", event_types=("a.b", "c.d"))
        registration.write(connection, known)

    assert "Webhook: registered , https://x.example/webhooks/seam, 2 types" in _words(site.get("/").text)


def test_a_sparkline_says_its_words_and_escapes_them() -> None:
    """No style, a role and a label; zeros are the ground line alone."""
    drawn = sparkline([0, 1, 4], '"><script>')

    assert drawn.count("<rect") == 2
    assert 'role="img"' in drawn
    assert "<script>" not in drawn
    assert "style=" not in drawn
    assert "<rect" not in sparkline([], "none")


def _ticked(page: str) -> list[str]:
    return [_words(each).removeprefix("✓ Done: ") for each in
            re.findall(r'<li class="done">.*?(?=<div class="sub">)', page, re.DOTALL)]  # fmt: skip
