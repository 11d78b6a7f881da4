"""What strangers can do: nothing."""

from __future__ import annotations

import re

import pytest
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.web import rendering, words
from seamkeeper.keys import Keys
from seamkeeper.settings import Settings
from tests.console.web.conftest import Open, accept, keep_event, keep_user, queues_of

HOSTILE = "\"'><script>alert(1)</script><img/src=x>{{7*7}}"
PATHS = (
    "/", "/events", "/events/none", "/users", "/users/none", "/queues", "/queues/events/failed", "/jobs/none", "/dead",
    "/settings", "/events/rejected", "/events/export", "/metrics",
    "/livez", "/readyz", "/static/console.css", "/static/none", "/nope",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "TRACE"])
def test_every_answer_brings_the_headers(site_on_sqlite: TestClient, path: str, method: str) -> None:
    """Pages, refusals and files alike."""
    answer = site_on_sqlite.request(method, path)

    _assert_headers(answer.headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [path for path in PATHS if path != "/nope"])
def test_only_reading(site_on_sqlite: TestClient, path: str, method: str) -> None:
    """405 to everything that is not GET."""
    answer = site_on_sqlite.request(method, path, headers={"sec-fetch-site": "same-origin"})

    assert answer.status_code == 405
    assert "GET" in answer.headers.get("allow", "GET")


def test_a_mistake_of_ours_tells_nothing(site_on_sqlite: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 with the headers and a sentence; the traceback goes to the log."""

    def broken(*_: object) -> object:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("console.web.settings_page._parts", broken)

    answer = site_on_sqlite.get("/settings")

    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    _assert_headers(answer.headers)


def test_pages_need_no_exception_from_the_policy() -> None:
    """No inline script, style or handler in any template."""
    for template in (rendering.FOLDER / "templates").glob("*.html"):
        source = template.read_text(encoding="utf-8")
        assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", source), template.name
        assert "|safe" not in source.replace(" ", ""), template.name


def test_hostile_names_are_only_text(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Markup in everything that a stranger can name is shown as text, on every page it appears on."""
    hostile_id = HOSTILE.replace(" ", "")
    keep_event(engine, hostile_id, event_type=hostile_id, acs_user_id=hostile_id, status="dead", reason=HOSTILE)
    error = {"error_code": HOSTILE, "message": HOSTILE}
    keep_user(
        engine, hostile_id, name=HOSTILE, sync="drifted", health="error", reason=HOSTILE, errors=[error],
        drift={"full_name": {}}, wanted={"full_name": HOSTILE}, phone_number=HOSTILE,
        access_schedule={"starts_at": HOSTILE},
    )  # fmt: skip
    accept(redis, hostile_id + "2", event_type=hostile_id)
    job_id = queues_of(redis).ask_reconcile(hostile_id, why=HOSTILE, source=HOSTILE)
    redis.sadd("rq:workers", f"rq:worker:{HOSTILE}")
    redis.hset(f"rq:worker:{HOSTILE}", mapping={"state": HOSTILE, "queues": HOSTILE, "hostname": HOSTILE})
    quoted = words.segment(hostile_id)

    for path in (
        "/", "/events", f"/events?type={quoted}&user={quoted}&status={quoted}",
        f"/events/{quoted}", f"/events/{quoted}2",
        "/users", f"/users?search={quoted}&system={quoted}", f"/users/{quoted}", "/queues", "/queues/events/queued",
        "/queues/reconcile/queued", f"/jobs/{job_id}", "/dead", f"/events?x={quoted}",
    ):  # fmt: skip
        page = site.get(path)
        assert page.status_code == 200, path
        assert "<script>" not in page.text, path
        assert "<img/" not in page.text, path
        assert ">49<" not in page.text, path


@pytest.mark.parametrize(
    "name", ["\ud800 alone", "a\x00b", "x" * 5000, "\u202egnp.exe"], ids=["surrogate", "nul", "long", "bidi"]
)
def test_strange_names_do_not_break_a_page(site: TestClient, engine: Engine, name: str) -> None:
    """What a provider may put into a name can always be shown somehow."""
    keep_user(engine, "u1", name=name, sync="drifted", wanted={"full_name": "Jack Doe"})
    keep_event(engine, "e1", note=name)

    for path in ("/", "/users", "/users/u1", "/events", "/events/e1"):
        assert site.get(path).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8001", "localhost", "LOCALHOST:1", "console.localhost", "[::1]:8001", "127.9.9.9", "10.1.2.3:8001"],
)
def test_our_own_names_are_answered(sqlite_settings: Settings, open_site: Open, host: str) -> None:
    """Names of this machine, and the address it was bound to."""
    with open_site(sqlite_settings, names=("10.1.2.3",)) as site:
        assert site.get("/livez", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:8001", "", "8.8.8.8", "[::2]"],
)
def test_another_host_is_refused(site_on_sqlite: TestClient, host: str) -> None:
    """Else a page elsewhere could point its name at this machine and read everything (DNS rebinding)."""
    answer = site_on_sqlite.get("/users", headers={"host": host})

    assert answer.status_code == 400
    _assert_headers(answer.headers)


def test_a_name_that_was_allowed_is_known_and_no_other(sqlite_settings: Settings, open_site: Open) -> None:
    """In a compose network the console has the name of its service; on every address it still refuses strangers'."""
    with open_site(sqlite_settings, names=("10.1.2.3", "console")) as site:
        statuses = [site.get("/livez", headers={"host": host}).status_code for host in ("console:8001", "evil.example")]

    assert statuses == [200, 400]


def test_secrets_are_never_shown(redis_url: str, database_url: str, open_site: Open) -> None:
    """Not in part, and not as the address of a store."""
    told = Settings(
        webhook_secrets=("whsec_AAAA", "whsec_BBBB"),
        api_key="seam_key_CCCC",
        redis_url=redis_url,
        database_url=database_url,
    )
    with open_site(told) as site:
        page = site.get("/settings").text

    assert "2 set, hidden" in page
    for secret in ("AAAA", "BBBB", "CCCC", redis_url, database_url):
        assert secret not in page


def test_reading_moves_no_job(site: TestClient, redis: Redis) -> None:
    """RQ's own counting sweeps registries; a page that is only looked at must not retry a job."""
    accept(redis, "e1")
    redis.lrem("rq:queue:events", 0, "e1")
    redis.hset("rq:job:e1", "status", "started")
    redis.zadd("rq:wip:events", {"e1:x": 1})
    before = {key: redis.dump(key) for key in redis.keys("*")}

    for path in ("/", "/queues", "/queues/events/started", "/jobs/e1", "/metrics", "/dead"):
        assert site.get(path).status_code == 200

    assert {key: redis.dump(key) for key in redis.keys("*")} == before
    assert Keys().job("e1").encode() in before


def _assert_headers(headers: object) -> None:
    found = dict(headers)  # type: ignore[call-overload]
    policy = found["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert found["x-content-type-options"] == "nosniff"
    assert found["referrer-policy"] == "same-origin"
    assert found["cross-origin-opener-policy"] == "same-origin"
    assert found["cache-control"] == "no-store"
