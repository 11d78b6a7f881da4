"""Users: chips and columns, the plan of some of them, the first resync."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.web.meanings import likely_cause
from seamkeeper import clock, desired, history, mirror, policies, resyncs
from seamkeeper.mirror import Verdict
from seamkeeper.orders import ordered
from tests.console.web.conftest import AT, keep_event, keep_user

FORM = {"sec-fetch-site": "same-origin"}
DRIFT = {"phone_number": {"observed": "+15555550222", "desired": "+15555550101"}}
WANTED = {"full_name": "Jack Doe", "phone_number": "+15555550101"}


def _words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _listed(site: TestClient, query: str) -> list[str]:
    return re.findall(r'class="who" href="/users/(\w+)"', site.get(f"/users?{query}").text)


def test_chips_count_and_choose(site: TestClient, engine: Engine) -> None:
    """Each chip leads to those it counts; the search stays when one is chosen."""
    keep_user(engine, "u1", wanted=WANTED)
    keep_user(engine, "u2", sync="drifted", drift=DRIFT, wanted=WANTED)
    keep_user(engine, "u3", sync="unknown", health="error", name="Mina Patel")
    keep_user(engine, "u4", sync="unknown")
    with engine.begin() as connection:
        mirror.bury(connection, "u4", read_at=AT + timedelta(hours=1), reason="gone")

    page = site.get("/users?search=jack").text
    chips = {word: html.unescape(path) for path, word in re.findall(r'<a href="(/users[^"]*)">(\w+)', page)}

    assert "all 4 drifted 1 applying 0 error 1 warning 0 paused 0 deleted 1 unmanaged" in _words(page)
    assert {"search=jack" in chips[word] for word in ("drifted", "error", "unmanaged")} == {True}
    assert _listed(site, "sync=drifted") == ["u2"]
    assert _listed(site, "health=deleted") == ["u4"]
    assert _listed(site, "managed=no") == ["u3"]
    assert _listed(site, "managed=no&search=mina") == ["u3"]
    assert _listed(site, "managed=no&search=jack") == []


def test_a_line_says_who_where_what_and_since_when(site: TestClient, engine: Engine) -> None:
    """The access system by its name, codes in plain words, who desired it, the newest event."""
    keep_user(
        engine, "u1", sync="drifted", drift=DRIFT, wanted=WANTED, external_type_display_name="Salto site user",
        errors=[{"error_code": code, "message": ""} for code in ("deleted_externally", "brand_new_code")],
    )  # fmt: skip
    keep_event(engine, "e1", at=clock.now() - timedelta(minutes=3))
    keep_event(engine, "e2", at=clock.now() - timedelta(hours=3))

    line = _words(site.get("/users").text.partition("<tbody>")[2].partition("</tbody>")[0])
    with engine.begin() as connection:
        resyncs.change(connection, "s1", name="Harbour House", brand="Salto KS site")
    named = _words(site.get("/users").text)

    assert line.startswith("Jack Doe u1 deleted at the site, brand new code s1 Salto site user drifted 1 field ok")
    assert "a test 3 min ago" in line
    assert "Harbour House Salto KS site drifted" in named


def test_the_first_resync_is_one_click_away(site: TestClient, redis: Redis) -> None:
    """The job that finds all access systems waits once, however often it is asked for."""
    assert 'action="/users/resync"' in site.get("/users").text

    for _ in range(2):
        assert site.post("/users/resync", headers=FORM).headers["location"] == "/users"

    [name] = redis.lrange("rq:queue:resync", 0, -1)
    job = Job.fetch(name.decode(), connection=redis, serializer=JSONSerializer)
    assert job.func_name == "workers.jobs.resync_all"


def test_a_resync_under_way_says_how_far_it_is(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Of about how many, and the page."""
    with engine.begin() as connection:
        resyncs.change(connection, "s1", name="Harbour House", began_at=clock.now(), acs_user_count=3000)
    redis.hset("rq:seamkeeper:pass:s1", mapping={"pages": 5, "listed": 412, "phase": "listing"})

    assert "Resync of Harbour House: 412 of about 3,000, page 5" in _words(site.get("/users").text)


def test_a_plan_is_shown_and_ordered_exactly(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Of those chosen, or of all that fit; who moved since is left out, and said."""
    keep_user(engine, "u1", sync="drifted", drift=DRIFT, wanted=WANTED)
    keep_user(engine, "u2", sync="drifted", drift=DRIFT, wanted=WANTED)
    keep_user(engine, "u3", sync="drifted", drift=DRIFT, wanted=WANTED, reason="the deletion was announced")
    keep_user(engine, "u4", wanted=WANTED)

    chosen, page = site.get("/users/plan?user=u1&user=u4&user=none").text, site.get("/users/plan").text
    orders = [html.unescape(each) for each in re.findall(r'name="order" value="([^"]+)"', page)]
    keep_user(engine, "u2", sync="drifted", drift={"full_name": {"observed": "a", "desired": "b"}}, wanted=WANTED)
    answer = site.post("/users/sync", data={"order": orders}, headers=FORM)

    assert "1 user to change" in chosen
    assert "+15555550222 → +15555550101" in _words(page)
    assert "1 blocked Jack Doe the deletion was announced" in _words(page)
    assert [order.split()[1] for order in orders] == ["u1", "u2"]
    jobs = [
        Job.fetch(name.decode(), connection=redis, serializer=JSONSerializer).kwargs
        for name in redis.lrange("rq:queue:reconcile", 0, -1)
    ]
    assert [(job["acs_user_id"], job["mode"]) for job in jobs] == [("u1", ordered(DRIFT))]
    assert "1 moved since the plan was made" in html.unescape(site.get(answer.headers["location"]).text)


@pytest.mark.parametrize("order", ["", "x", "x u1", " ", "\x00 u1"])
def test_an_order_that_nobody_saw(site_on_sqlite: TestClient, redis: Redis, order: str) -> None:
    """Nothing is asked for."""
    assert site_on_sqlite.post("/users/sync", data={"order": order}, headers=FORM).status_code == 303
    assert redis.llen("rq:queue:reconcile") == 0


def test_who_moved_a_field_can_be_told(site: TestClient, engine: Engine) -> None:
    """Changed outside: live differs from what was known. Desired anew: both are as they were."""
    keep_user(
        engine, "u1", wanted={"full_name": "Jack Doe", "phone_number": "+15555550101"}, phone_number="+15555550101"
    )
    raw = {"acs_user_id": "u1", "acs_system_id": "s1", "full_name": "Jack Doe", "phone_number": "+15555550222"}
    at = clock.now() + timedelta(minutes=1)
    with engine.begin() as connection:
        before = mirror.standing(connection, "u1")
        mirror.keep(connection, before, raw, Verdict("drifted", DRIFT), health="ok", read_at=at)
        history.note_change(connection, "u1", "acs_user.changed", {"fields": ["phone_number"]}, source="resync")

    outside = _words(site.get("/users/u1").text)
    keep_user(engine, "u2", sync="drifted", drift=DRIFT, wanted=WANTED, phone_number="+15555550222")
    wanted = _words(site.get("/users/u2").text)

    assert "phone_number +15555550101 +15555550222 +15555550101 ~ set to +15555550101 changed outside, seen" in outside
    assert "(resync)" in outside
    assert "Plan: 1 to change. POST /acs/users/update {phone_number}" in outside
    assert "phone_number changed outside us resync" in outside
    assert "phone_number +15555550101 +15555550222 +15555550222 ~ set to +15555550101 desired since" in wanted


def test_a_suspension_is_planned_by_its_own_call(site: TestClient, engine: Engine) -> None:
    """First the suspension, then the update."""
    drift = DRIFT | {"is_suspended": {"observed": False, "desired": True}}
    keep_user(engine, "u1", sync="drifted", drift=drift, wanted=WANTED | {"is_suspended": True})

    read = _words(site.get("/users/u1").text)

    assert "Plan: 2 to change. POST /acs/users/suspend , then POST /acs/users/update {phone_number}" in read


def test_a_user_is_being_applied(site: TestClient, engine: Engine) -> None:
    """Accepted is not done: the page says what it waits for."""
    mutation = {"mutation_code": "updating_user_information", "to": {"phone_number": "+15555550101"}}
    keep_user(engine, "u1", sync="applying", drift=DRIFT, wanted=WANTED, pending_mutations=[mutation, "odd", None])
    with engine.begin() as connection:
        action = history.begin_action(
            connection, "u1", endpoint="/acs/users/update", asked_by="apply by ada", request={}, before={}, why={}
        )
        history.end_action(connection, action, "ok")

    read = _words(site.get("/users/u1").text)

    assert re.search(r"Accepted by Seam .*waiting for the provider \(pending_mutations: phone_number\)", read)
    assert "on its way" in read


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} \u202e'


def test_hostile_words_are_only_text_everywhere(site: TestClient, engine: Engine) -> None:
    """A name, a value, a code, a reason, a writer, an access system, an id: on every page about people."""
    drift = {
        "full_name": {"observed": HOSTILE, "desired": HOSTILE},
        "access_schedule": {"observed": [HOSTILE], "desired": 7},
    }
    keep_user(
        engine, "u1", name=HOSTILE, sync="drifted", drift=drift, wanted={"full_name": HOSTILE}, reason=None,
        external_type_display_name=HOSTILE, access_schedule={"starts_at": HOSTILE, "ends_at": {HOSTILE: 1}},
        errors=[{"error_code": HOSTILE, "message": HOSTILE}], pending_mutations=[{"mutation_code": HOSTILE}],
    )  # fmt: skip
    with engine.begin() as connection:
        resyncs.change(connection, "s1", name=HOSTILE, brand=HOSTILE, trouble=HOSTILE, began_at=clock.now())
        desired.set_desired(connection, "u1", {"hid_acs_system_id": "h"}, by=HOSTILE)
        until = clock.now() + timedelta(hours=1)
        history.note_change(connection, "u1", "acs_user.changed", {"fields": [HOSTILE]}, source=HOSTILE[:20])
        policies.set_policy(connection, "system", "s1", by=HOSTILE, paused_until=until, reason=HOSTILE)
    paths = ["/users", "/users/plan", *(f"/users/u1{word}" for word in ("", "/desired", "/suspend", "/recreate"))]
    paths += [f"/users?search={quote(HOSTILE)}&system={quote(HOSTILE)}", f"/users/plan?user={quote(HOSTILE)}"]

    for path in paths:
        answer = site.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text, path
        assert "<img src=x" not in answer.text, path
        assert "49" not in re.findall(r"<h1.*?</h1>", answer.text, re.DOTALL)[0], path


NOW = AT
CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "not-started": ({"access_schedule": {"starts_at": "2026-12-01T10:00:00Z", "ends_at": None}}, "has not started"),
    "ended": ({"access_schedule": {"ends_at": "2026-11-01T10:00:00Z"}}, "has ended"),
    "suspended": ({"is_suspended": True}, "is suspended"),
    "limit": (
        {"errors": [{"error_code": "salto_ks_subscription_limit_exceeded"}]},
        "limit of subscriptions is reached",
    ),
    "by-hand": ({"access_schedule": {"starts_at": "2026-11-01T10:00:00Z", "ends_at": "x"}}, "by hand"),
    "strange": ({"access_schedule": [1], "errors": 7}, "by hand"),
}


@pytest.mark.parametrize("which", CAUSES)
def test_the_likely_cause_is_named(which: str) -> None:
    """The schedule is compared with the time."""
    observed, words = CAUSES[which]

    assert words in likely_cause("salto_ks_user_not_subscribed", observed, at=NOW)
    assert likely_cause("deleted_externally", observed, at=NOW) == ""
