"""What Prometheus reads is what happened."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from seamkeeper.settings import Settings
from tests.console.web.conftest import Open, accept, keep_user, queues_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _scrape(site: TestClient) -> Samples:
    answer = site.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_counters_and_gauges(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Counters as the processes left them in Redis, gauges as the stores stand now."""
    accept(redis, "e1", "e2")
    accept(redis, "e1")
    for field in (
        "seam_api_requests:/acs/users/get:200", "event_attempts:odd:type:ok", "user_attempts:retry",
        "webhook_requests:bad_signature", "unknown:thing", "seam_api_requests:short", "user_attempts:",
    ):  # fmt: skip
        queues_of(redis).count(field)
    error = {"error_code": "a_code", "message": "m"}
    keep_user(engine, "u1", sync="drifted", health="error", errors=[error])

    samples = _scrape(site)

    assert samples["seamkeeper_webhook_requests_total", (("outcome", "accepted"),)] == 2
    assert samples["seamkeeper_webhook_requests_total", (("outcome", "duplicate"),)] == 1
    assert samples["seamkeeper_webhook_requests_total", (("outcome", "bad_signature"),)] == 1
    assert samples["seamkeeper_seam_api_requests_total", (("code", "200"), ("endpoint", "/acs/users/get"))] == 1
    assert samples["seamkeeper_event_attempts_total", (("event_type", "odd:type"), ("outcome", "ok"))] == 1
    assert samples["seamkeeper_user_attempts_total", (("outcome", "retry"),)] == 1
    assert samples["seamkeeper_queue_jobs", (("queue", "events"), ("state", "queued"))] == 2
    assert 0 <= samples["seamkeeper_queue_oldest_job_age_seconds", (("queue", "events"),)] < 60
    assert samples["seamkeeper_workers", (("state", "busy"),)] == 0
    assert samples["seamkeeper_users", (("state", "drifted"),)] == 1
    assert samples["seamkeeper_users_health", (("health", "error"),)] == 1
    assert samples["seamkeeper_user_issues", (("code", "a_code"),)] == 1
    assert not [name for name, _ in samples if "unknown" in name or name.startswith("python_")]


def test_a_paused_queue(site_on_sqlite: TestClient, redis: Redis) -> None:
    """A gauge of each queue; the page says it in words, with what ends it."""
    queues_of(redis).pause_queue("reconcile")

    samples, page = _scrape(site_on_sqlite), site_on_sqlite.get("/queues").text

    assert [samples["seamkeeper_queue_paused", (("queue", name),)] for name in ("events", "reconcile")] == [0, 1]
    assert "The queue reconcile is paused." in page
    assert "seamkeeper resume reconcile" in page


def test_labels_of_strangers_stay_labels(site_on_sqlite: TestClient, redis: Redis) -> None:
    """A quote or a line break in a type cannot forge a sample."""
    queues_of(redis).count('event_attempts:a"} 1\nforged 1 #:ok')

    samples = _scrape(site_on_sqlite)

    assert ("forged", ()) not in samples
    assert samples["seamkeeper_event_attempts_total", (("event_type", 'a"} 1\nforged 1 #'), ("outcome", "ok"))] == 1


def test_one_store_down_leaves_the_other(sqlite_settings: Settings, open_site: Open) -> None:
    """A scrape is answered with what could be read, and says what could not."""
    with open_site(replace(sqlite_settings, redis_url="redis://127.0.0.1:1/0")) as site:
        samples = _scrape(site)

    assert samples["seamkeeper_source_up", (("source", "redis"),)] == 0
    assert samples["seamkeeper_source_up", (("source", "database"),)] == 1
    assert ("seamkeeper_users", (("state", "drifted"),)) in samples
    assert not [name for name, _ in samples if name.startswith("seamkeeper_queue")]


def test_the_document_names_every_metric(site_on_sqlite: TestClient) -> None:
    """docs/metrics.md is what dashboards and alerts are written from."""
    text = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    families = {family.name: family for family in text_string_to_metric_families(site_on_sqlite.get("/metrics").text)}

    described = set(re.findall(r"^\| `(\w+)`", text, flags=re.MULTILINE))

    assert described == {f"{name}_total" if each.type == "counter" else name for name, each in families.items()}
