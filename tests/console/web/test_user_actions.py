"""What a person may do about a user: what is then desired, said and asked for; and what is refused."""

from __future__ import annotations

import html
import re
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy import Engine
from starlette.testclient import TestClient

from seamkeeper import audit, clock, desired, issues, mirror, policies, recreations
from seamkeeper.orders import ordered
from seamkeeper.settings import Settings
from tests.console.web.conftest import AT, Open, keep_user

FORM = {"sec-fetch-site": "same-origin"}
DRIFT = {"phone_number": {"observed": "+15555550222", "desired": "+15555550101"}}
WANTED = {"full_name": "Jack Doe", "phone_number": "+15555550101"}


def _drifted(engine: Engine, acs_user_id: str = "u1") -> None:
    keep_user(engine, acs_user_id, sync="drifted", drift=DRIFT, wanted=WANTED, phone_number="+15555550222")


def _asked(redis: Redis) -> list[dict[str, Any]]:
    """The arguments of the looks that wait, the next one first."""
    names = [name.decode() for name in redis.lrange("rq:queue:reconcile", 0, -1)]
    return [Job.fetch(name, connection=redis, serializer=JSONSerializer).kwargs for name in names]


def _fields(page: str, action: str) -> dict[str, str]:
    """What the form with this address would send."""
    form = re.search(rf'action="{re.escape(action)}">(.*?)</form>', page, re.DOTALL)
    assert form, f"no form for {action}"
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[1])
    return {name: html.unescape(value) for name, value in found}


def _press(site: TestClient, action: str, **more: str) -> str:
    """Sends the form of the user's page as it stands there, and gives what the page after it says."""
    page = action.rsplit("/", 1)[0]
    answer = site.post(action, data=_fields(site.get(page).text, action) | more, headers=FORM)
    assert answer.status_code == 303
    return _said(site, answer.headers["location"])


def _said(site: TestClient, path: str) -> str:
    toast = re.search(r'<p class="toast (\w+)">(.*?)</p>', site.get(path).text, re.DOTALL)
    assert toast
    return f"{toast[1]}: {html.unescape(toast[2])}"


def _lines(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        found = audit.lines(connection, kind="user", subject_id="u1")
    return [(line["action"], line["outcome"]) for line in found]


def _policy(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return next(iter(policies.list_policies(connection)), {})


def test_sync_asks_for_a_look_before_all_others(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Where policy repairs, a look is enough; it stands at the front of the queue, and the page says that it waits."""
    _drifted(engine)
    site.post("/users/u2/refresh", headers=FORM)

    said = _press(site, "/users/u1/sync")

    assert said == "good: Asked for: 1 field. The user is read first, then written."
    assert [job["acs_user_id"] for job in _asked(redis)] == ["u1", "u2"]
    assert "mode" not in _asked(redis)[0]
    assert "A look at this user waits or runs" in site.get("/users/u1").text
    assert _lines(engine) == [("user.sync", "done")]


def test_sync_is_an_order_where_policy_only_plans(
    settings: Settings, open_site: Open, engine: Engine, redis: Redis
) -> None:
    """The order is for exactly the drift that the page showed."""
    _drifted(engine)

    with open_site(replace(settings, repair="plan")) as site:
        _press(site, "/users/u1/sync")

    assert _asked(redis)[0]["mode"] == ordered(DRIFT)


def test_sync_is_an_order_where_the_budget_holds_a_field(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Another writer was found: only a person's order goes on."""
    _drifted(engine)
    with engine.begin() as connection:
        detail = {"fields": {"phone_number": {"desired": "+15555550101", "moves": []}}}
        issues.raise_finding(connection, "another_writer", acs_user_id="u1", message="again", detail=detail)

    _press(site, "/users/u1/sync")

    assert _asked(redis)[0]["mode"] == ordered(DRIFT)


@pytest.mark.parametrize(("word", "stamp"), [("sync", "seen_drift"), ("accept", "seen_live")])
def test_a_page_that_is_too_old_does_nothing(
    site: TestClient, engine: Engine, redis: Redis, word: str, stamp: str
) -> None:
    """The user moved between the look and the click: refused, and said."""
    _drifted(engine)
    old = _fields(site.get("/users/u1").text, f"/users/u1/{word}")
    moved = {"phone_number": {"observed": "+15555550333", "desired": "+15555550101"}}
    keep_user(engine, "u1", sync="drifted", drift=moved, phone_number="+15555550333")

    answer = site.post(f"/users/u1/{word}", data=old, headers=FORM)

    assert stamp in old
    assert _said(site, answer.headers["location"]).startswith("bad: This user moved since the page was made")
    assert _asked(redis) == []
    with engine.connect() as connection:
        assert desired.desired_of(connection, "u1") == WANTED
    assert _lines(engine) == [(f"user.{word}", "refused")]


def test_sync_holds_a_pause(site: TestClient, engine: Engine, redis: Redis) -> None:
    """The button is gone, and a click from an older page is refused."""
    _drifted(engine)
    old = _fields(site.get("/users/u1").text, "/users/u1/sync")
    with engine.begin() as connection:
        until = clock.now() + timedelta(hours=1)
        policies.set_policy(connection, "system", "s1", by="a test", paused_until=until)

    answer = site.post("/users/u1/sync", data=old, headers=FORM)

    assert "repairs are paused for the system" in _said(site, answer.headers["location"])
    assert 'action="/users/u1/sync"' not in site.get("/users/u1").text
    assert _asked(redis) == []


def test_refresh_reads_a_user_anew(site: TestClient, engine: Engine, redis: Redis) -> None:
    """A look for an operator, whose name it carries."""
    keep_user(engine, "a/b c?")

    said = _press(site, "/users/a%2Fb%20c%3F/refresh")

    assert said == "good: Asked for: the user is read from Seam now."
    [job] = _asked(redis)
    assert (job["acs_user_id"], job["source"]) == ("a/b c?", "operator")
    assert job["why"].startswith("refresh by ")


def test_accepting_takes_what_is_live_and_names_what_it_cannot(site: TestClient, engine: Engine) -> None:
    """A masked number could not be sent back, so it stays as it was."""
    keep_user(engine, "u1", name="New Name", sync="drifted", drift=DRIFT, wanted=WANTED, phone_number="+1*******222")

    said = _press(site, "/users/u1/accept")

    assert "phone_number must be in E.164 form" in said
    with engine.connect() as connection:
        assert desired.desired_of(connection, "u1") == {"full_name": "New Name", "phone_number": "+15555550101"}


def test_a_pause_holds_until_it_is_resumed(site: TestClient, engine: Engine, redis: Redis) -> None:
    """With a reason, which every page shows."""
    _drifted(engine)

    said = _press(site, "/users/u1/pause", hours="24", reason="moving <b>house</b>")

    assert said.startswith("good: Paused until ")
    assert _policy(engine)["reason"] == "moving <b>house</b>"
    assert "Resume sync" in site.get("/users/u1").text
    assert _press(site, "/users/u1/resume") == "good: Resumed; the user is read now."
    assert _policy(engine)["paused_until"] is None
    assert len(_asked(redis)) == 1  # many asks before a run are one run


@pytest.mark.parametrize("hours", ["", "0", "-1", "25", "١", "9" * 40, "nan"])
def test_a_pause_of_no_length_that_is_offered(
    site_on_sqlite: TestClient, sqlite_settings: Settings, hours: str
) -> None:
    """Refused in words."""
    from seamkeeper import database

    own = database.open_engine(sqlite_settings.database_url)
    keep_user(own, "u1")
    own.dispose()

    answer = site_on_sqlite.post("/users/u1/pause", data={"hours": hours}, headers=FORM)

    assert _said(site_on_sqlite, answer.headers["location"]).startswith("bad: Choose one of 1, 4, 24")


def test_a_wider_pause_is_not_ended_here(site: TestClient, engine: Engine) -> None:
    """Who is paused with all others goes on with all others."""
    _drifted(engine)
    with engine.begin() as connection:
        policies.set_policy(connection, "all", "", by="a test", paused_until=clock.now() + timedelta(hours=1))

    answer = site.post("/users/u1/resume", headers=FORM)

    assert _said(site, answer.headers["location"]).startswith("bad: This user is not paused by itself")


def test_suspending_is_desired_with_a_reason(site: TestClient, engine: Engine, redis: Redis) -> None:
    """A page of its own asks first; the reason stands in the audit; the same page takes it back."""
    _drifted(engine)
    asked = _fields(site.get("/users/u1/suspend").text, "/users/u1/suspend")

    without = site.post("/users/u1/suspend", data=asked, headers=FORM)
    said = _said(site, without.headers["location"])
    done = site.post("/users/u1/suspend", data=asked | {"reason": "lost badge"}, headers=FORM)
    twice = site.post("/users/u1/suspend", data=asked | {"reason": "lost badge"}, headers=FORM)

    assert said.startswith("bad: Give a reason")
    assert (done.status_code, twice.status_code) == (303, 303)
    with engine.connect() as connection:
        assert desired.desired_of(connection, "u1") == {**WANTED, "is_suspended": True}
        [line] = [each for each in audit.lines(connection, kind="user", subject_id="u1") if each["outcome"] == "done"]
    assert line["detail"] == {"is_suspended": True, "why": "lost badge"}
    assert len(_asked(redis)) == 1
    assert _fields(site.get("/users/u1/suspend").text, "/users/u1/suspend")["is_suspended"] == "no"


def test_who_is_gone_has_no_buttons_but_one(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Recreate, behind a page that asks; it is approved once."""
    _drifted(engine)
    with engine.begin() as connection:
        mirror.bury(connection, "u1", read_at=AT + timedelta(hours=1), reason="Seam answered 404")

    page = site.get("/users/u1").text
    asked = site.get("/users/u1/recreate").text
    answer = site.post("/users/u1/recreate", headers=FORM)

    assert re.findall(r'action="/users/u1/(\w+)"', page) == []
    assert 'href="/users/u1/recreate"' in page
    assert "+15555550101" in asked
    assert _said(site, answer.headers["location"]).startswith("good: Approved")
    with engine.connect() as connection:
        row = recreations.latest(connection, "u1")
    assert row is not None
    assert row.state == "approved"
    assert _asked(redis)[0]["acs_user_id"] == "u1"


def test_nobody_is_recreated_who_is_there(site: TestClient, engine: Engine, redis: Redis) -> None:
    """The sentence of the one who decides it."""
    _drifted(engine)

    answer = site.post("/users/u1/recreate", headers=FORM)

    assert "u1 is not gone" in _said(site, answer.headers["location"])
    assert _asked(redis) == []


def test_an_issue_is_acknowledged_and_put_off(site: TestClient, engine: Engine) -> None:
    """By name; one of another user, or none, is refused."""
    keep_user(engine, "u1", errors=[{"error_code": "deleted_externally", "message": "gone"}])
    keep_user(engine, "u2", errors=[{"error_code": "deleted_externally", "message": "gone"}])
    with engine.connect() as connection:
        [mine], [other] = issues.open_issues(connection, "u1"), issues.open_issues(connection, "u2")

    assert _press(site, "/users/u1/acknowledge").startswith("good: Acknowledged")
    assert _press(site, "/users/u1/snooze", hours="8").startswith("good: Snoozed until")
    for number in (str(other["issue_id"]), "0", "x", "9" * 30, ""):
        answer = site.post("/users/u1/acknowledge", data={"issue": number}, headers=FORM)
        assert _said(site, answer.headers["location"]) == "bad: There is no such issue on this user."

    with engine.connect() as connection:
        states = [issues.find_issue(connection, each["issue_id"]) for each in (mine, other)]
    assert [state and state["state"] for state in states] == ["snoozed", "open"]


def test_actions_on_somebody_unknown(site_on_sqlite: TestClient) -> None:
    """Refused with a sentence, nothing is made up."""
    answer = site_on_sqlite.post("/users/nobody/sync", headers=FORM)

    assert _said(site_on_sqlite, answer.headers["location"]).startswith("bad: No user with this id")


def test_without_redis_nothing_is_promised(sqlite_settings: Settings, open_site: Open) -> None:
    """The page is readable with its buttons switched off; a click says that it may not be done."""
    from seamkeeper import database

    own = database.open_engine(sqlite_settings.database_url)
    keep_user(own, "u1", sync="drifted", drift=DRIFT, wanted=WANTED)
    own.dispose()
    with open_site(replace(sqlite_settings, redis_url="redis://127.0.0.1:1/0")) as site:
        page = site.get("/users/u1")
        answer = site.post("/users/u1/refresh", headers=FORM)

    assert page.status_code == 503
    assert "Redis could not be read" in page.text
    assert "+15555550101" in page.text
    assert set(re.findall(r"<button class=\"(?:quiet)?\"[^>]*?( disabled)?>", page.text)) == {" disabled"}
    assert answer.status_code == 503


@pytest.mark.parametrize(
    ("field", "live", "wanted", "then"),
    [
        ("is_suspended", True, False, True),
        ("phone_number", None, "+15555550101", "not managed"),
        ("access_schedule", None, {"starts_at": "2026-12-01T10:00:00Z", "ends_at": "2099-12-02T10:00:00Z"}, None),
    ],
)
def test_after_an_accept_nothing_differs(
    site: TestClient, engine: Engine, field: str, live: Any, wanted: Any, then: Any
) -> None:
    """Also where Seam shows no value any more, and where somebody was suspended there: nothing is undone behind the
    back of who accepted it."""
    drift = {field: {"observed": live, "desired": wanted}}
    held = {"full_name": "Jack Doe", field: wanted}
    keep_user(engine, "u1", sync="drifted", drift=drift, wanted=held, **{field: live})

    said = _press(site, "/users/u1/accept")

    with engine.connect() as connection:
        assert desired.desired_of(connection, "u1").get(field, "not managed") == then
    assert ("Not managed any more" in said) == (then == "not managed")


def test_an_application_writes_while_somebody_accepts(site: TestClient, engine: Engine) -> None:
    """What it wrote meanwhile is not overwritten: who pressed is told to look again."""
    _drifted(engine)
    seen = _fields(site.get("/users/u1").text, "/users/u1/accept")
    answers: list[str] = []
    pressing = threading.Thread(
        target=lambda: answers.append(site.post("/users/u1/accept", data=seen, headers=FORM).headers["location"])
    )

    with engine.begin() as connection:
        desired.set_desired(connection, "u1", {"phone_number": "+15555550333"}, by="the application")
        pressing.start()
        time.sleep(0.5)
    pressing.join()

    assert "moved since" in _said(site, answers[0])
    with engine.connect() as connection:
        assert desired.desired_of(connection, "u1")["phone_number"] == "+15555550333"


@pytest.mark.parametrize(("repair", "remedy"), [("plan", "press Sync now"), ("off", "another policy")])
def test_what_is_said_is_true_of_the_policy(
    settings: Settings, open_site: Open, engine: Engine, repair: Any, remedy: str
) -> None:
    """Sync now writes under `plan`, and is refused where repairs are off."""
    keep_user(engine, "u1", wanted=WANTED)
    with open_site(replace(settings, repair=repair)) as site:
        seen = _fields(site.get("/users/u1/suspend").text, "/users/u1/suspend")
        told = seen | {"is_suspended": "yes", "reason": "lost the badge"}
        to = site.post("/users/u1/suspend", data=told, headers=FORM).headers["location"]

        assert remedy in _said(site, to)
