"""Requests that no page of ours makes: huge numbers, broken headers, addresses that look like another host's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from seamkeeper import audit
from seamkeeper.settings import Settings
from tests.console.web.conftest import Open, keep_user, queues_of

OURS = {"sec-fetch-site": "same-origin"}
HUGE = "9" * 5000  # more digits than Python makes a number of


def test_a_form_with_too_many_fields(site_on_sqlite: TestClient) -> None:
    """Is refused as too long."""
    answer = site_on_sqlite.post("/replays", content="&".join(f"id={number}" for number in range(6000)), headers=OURS)

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("path", "form"),
    [("/replays", {"id": "x", "rate": HUGE}), ("/users/u1/pause", {"hours": HUGE}),
     ("/users/u1/acknowledge", {"issue": HUGE})],
)  # fmt: skip
def test_numbers_that_are_none(site: TestClient, engine: Engine, path: str, form: dict[str, str]) -> None:
    """Are refused in words; the audit says so."""
    keep_user(engine, "u1")

    assert site.post(path, data=form, headers=OURS).status_code == 303
    with engine.connect() as connection:
        assert audit.lines(connection)[0]["outcome"] == "refused"


@pytest.mark.parametrize("number", ["2147483648", "999999999999999", HUGE, "١٢", "-1"], ids=lambda text: text[:20])
def test_rows_that_no_database_can_number(site: TestClient, number: str) -> None:
    """Are no error of the database: there is no such place, and no such replay."""
    for path in ("/dead", "/settings/audit", "/replays"):
        assert site.get(path, params={"before": number}).status_code == 400
    assert site.get(f"/replays/{number}").status_code == 404
    assert site.post(f"/replays/{number}/stop", headers=OURS).status_code == 404


@pytest.mark.parametrize("origin", ["http://[bad", "null", "http://"])
def test_an_origin_that_is_none(site_on_sqlite: TestClient, redis: Redis, origin: str) -> None:
    """Does not act."""
    assert site_on_sqlite.post("/queues/events/pause", headers={"origin": origin, "host": ""}).status_code in (400, 403)
    assert site_on_sqlite.post("/queues/events/pause", headers={"origin": origin}).status_code == 403
    assert not queues_of(redis).paused_queues()


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ("http://127.0.0.1:8001/events?status=dead", "/events?status=dead"),
        ("http://127.0.0.1:8001///evil.example/x", "/evil.example/x"),
        ("http://evil.example/x", "/"),
        ("http://[bad", "/"),
    ],
)
def test_back_to_the_page_it_was_pressed_on(site_on_sqlite: TestClient, referer: str, back: str) -> None:
    """Never to another host."""
    answer = site_on_sqlite.post("/preferences?times=utc", headers=OURS | {"referer": referer})

    assert (answer.status_code, answer.headers["location"]) == (303, back)


def test_an_action_that_names_nothing_is_in_the_audit_as_refused(site: TestClient, engine: Engine) -> None:
    """Its outcome is known, though the answer is no page after it."""
    assert site.post("/replays/abc/stop", headers=OURS).status_code == 404
    with engine.connect() as connection:
        assert audit.lines(connection)[0]["outcome"] == "refused"


def test_nothing_is_done_without_its_line_in_the_audit(
    sqlite_settings: Settings, open_site: Open, redis: Redis, tmp_path: Path
) -> None:
    """The database has no tables: 503, and said to be no mistake of ours."""
    with open_site(replace(sqlite_settings, database_url=f"sqlite:///{tmp_path}/empty.db")) as site:
        answer = site.post("/queues/events/pause", headers=OURS)

    assert answer.status_code == 503
    assert "nothing was done" in answer.text
    assert not queues_of(redis).paused_queues()
