"""Dead letters by cause, discarded by who may; replays planned, started, stopped, resumed, listed."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.web import replay_pages
from console.web.asked import PAGE
from seamkeeper import audit, dead, replays
from seamkeeper.dead import Failure, Subject
from seamkeeper.keys import Keys
from seamkeeper.queues import RUN_REPLAY
from seamkeeper.settings import Settings
from tests.console.web.conftest import Open, keep_event, keep_user
from tests.console.web.test_event_pages import LOGINS, OPERATOR, OURS, VIEWER

HOSTILE = "\"'><script>alert(1)</script><img/src=x>{{7*7}}"


def _words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _replays(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return replays.list_replays(connection)


def test_causes_come_first(site: TestClient, engine: Engine) -> None:
    """Most first, with whether trying again helps, how many, of how many users; then each of them."""
    for number in range(3):
        keep_event(
            engine, f"e{number}", status="dead", reason="Seam is away", cause="seam:5xx", acs_user_id=f"u{number}"
        )
    keep_event(engine, "x1", status="dead", reason="refused")
    with engine.begin() as connection:
        dead.write(
            connection, Subject("user", "u9", "reconcile_user", acs_user_id="u9"), Failure("no", "seam:5xx"), tries=8
        )

    read = _words(site.get("/dead").text)
    of_one = site.get("/dead?cause=seam:5xx").text

    assert "seam:5xx Seam failed for all tries: a replay helps once it answers again." in read
    assert "Preview replay of 4 Discard 4… 4 3 4" in read  # on a narrow screen the links stand below the sentence
    assert read.index("seam:5xx") < read.index("seam:400:invalid_input")
    assert re.findall(r'<a href="/events/(\w+)"', of_one) == ["e2", "e1", "e0"]
    assert "compare the user" in of_one


def test_nothing_is_dead(site: TestClient) -> None:
    """Said with how far it looks back."""
    assert "Nothing is dead. Every event of the last 30 days was handled." in _words(site.get("/dead").text)
    assert "Nothing is dead of this cause" in _words(site.get("/dead?cause=seam:5xx").text)
    assert site.get("/dead/discard?cause=seam:5xx").status_code == 404
    assert site.get("/dead/discard").status_code == 400


def test_letters_are_paged_whole(site: TestClient, engine: Engine) -> None:
    """Two pages, each letter once, the cause kept."""
    with engine.begin() as connection:
        for number in range(PAGE + 3):
            dead.write(connection, Subject("event", f"e{number}", "handle_event"), Failure("no", "seam:5xx"), tries=1)

    first = site.get("/dead?cause=seam:5xx").text
    found = re.search(r'class="next" href="([^"]+)"', first)
    assert found
    second = site.get(html.unescape(found[1])).text

    seen = re.findall(r'<a href="/events/(e\d+)"', first + second)
    assert (len(seen), len(set(seen))) == (PAGE + 3, PAGE + 3)


def test_discarding_takes_the_number_and_a_reason(site: TestClient, engine: Engine) -> None:
    """Else nothing happens, and the form says what is missing."""
    for number in range(2):
        keep_event(engine, f"e{number}", status="dead", reason="no", cause="seam:404")
    keep_event(engine, "x", status="dead", reason="no", cause="seam:5xx")
    cause = {"cause": "seam:404"}

    for form in ({}, {"reason": "moved out"}, {"number": "2"}, {"reason": "moved out", "number": "3"}):
        answer = site.post("/dead/discard", data=cause | form, headers=OURS)
        assert "Nothing was discarded" in _words(site.get(answer.headers["location"]).text), form
    done = site.post("/dead/discard", data=cause | {"reason": "moved out", "number": "2"}, headers=OURS)
    read = _words(site.get(done.headers["location"]).text)

    assert "2 discarded." in read
    assert "seam:404" not in read.replace("seam:404: ", "")
    with engine.connect() as connection:
        assert [each["subject_id"] for each in dead.list_open(connection)] == ["x"]
        [line, *_] = audit.lines(connection)
    assert (line["action"], line["outcome"], line["detail"]) == (
        "dead.discard", "done", {"cause": "seam:404", "discarded": 2},
    )  # fmt: skip


def test_roles(settings: Settings, open_site: Open, engine: Engine) -> None:
    """Viewers look, operators replay, only admins discard; buttons stand where they work."""
    keep_event(engine, "e1", status="dead", reason="no", cause="seam:404")
    with open_site(replace(settings, console_logins=LOGINS)) as site:
        asked = {"status": "dead", "cause": "seam:404"}
        statuses = [
            site.post("/replays", data=asked, auth=VIEWER, headers=OURS).status_code,
            site.post("/replays/1/stop", auth=VIEWER, headers=OURS).status_code,
            site.post("/dead/discard", data=asked, auth=OPERATOR, headers=OURS).status_code,
            site.get("/dead/discard?cause=seam:404", auth=OPERATOR).status_code,
            site.post("/replays", data=asked, auth=OPERATOR).status_code,
        ]
        seen, acted = (_words(site.get("/dead", auth=auth).text) for auth in (VIEWER, OPERATOR))
        plan = site.get("/replay?status=dead&cause=seam:404", auth=VIEWER).text

    assert statuses == [403, 403, 403, 403, 403]
    assert "Preview" not in seen
    assert "Preview replay of 1" in acted
    assert "Discard" not in acted
    assert 'action="/replays"' not in plan
    assert _replays(engine) == []


def test_a_replay_from_plan_to_end(site: TestClient, engine: Engine, redis: Redis) -> None:
    """The plan counts, starting asks the workers, the page tells how far, stop and resume turn it."""
    for number in range(3):
        keep_event(engine, f"e{number}", status="dead", reason="no", cause="seam:5xx", acs_user_id=f"u{number % 2}")

    plan = site.get("/replay?status=dead&cause=seam:5xx").text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', plan))
    started = site.post("/replays", data=fields | {"rate": "60", "reason": "an outage"}, headers=OURS)
    [row] = _replays(engine)
    running = site.get(started.headers["location"]).text
    stopped = site.post(f"/replays/{row['replay_id']}/stop", headers=OURS)
    paused = _words(site.get(stopped.headers["location"]).text)
    redis.flushall()
    site.post(f"/replays/{row['replay_id']}/resume", headers=OURS)

    assert "3 events of 2 users are worked through once more" in _words(plan)
    assert "About 2 API calls, at most 3" in _words(plan)
    assert (started.status_code, started.headers["location"]) == (303, f"/replays/{row['replay_id']}")
    assert (row["rate"], row["reason"], row["eligible"], row["chosen"]["cause"]) == (60, "an outage", 3, "seam:5xx")
    assert "0 of 3" in _words(running)
    assert '<noscript><meta http-equiv="refresh"' in running
    assert "stopped 0 of 3" in paused
    assert _replays(engine)[0]["state"] == "running"
    assert redis.exists(Keys().waiting(f"{RUN_REPLAY}:{row['replay_id']}"))
    assert f"Replay {row['replay_id']}" in _words(site.get("/replays").text)


def test_what_the_list_of_events_shows_is_what_is_replayed(site: TestClient, engine: Engine) -> None:
    """From there no dead user comes along; from the dead letters they do."""
    keep_event(engine, "e1", status="dead", reason="no", cause="seam:5xx", acs_user_id="u1")
    with engine.begin() as connection:
        user = Subject("user", "u9", "reconcile_user", acs_user_id="u9")
        dead.write(connection, user, Failure("no", "seam:5xx"), tries=8)

    listed = site.get("/events?status=dead").text
    [link] = re.findall(r'href="(/replay\?[^"]*)">Replay all 1 that match', listed)
    plan = site.get(html.unescape(link)).text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', plan))
    site.post("/replays", data=fields | {"rate": "60", "reason": "an outage"}, headers=OURS)

    assert "Replay 1" in _words(plan)
    assert "Replay 2" in _words(site.get("/replay?status=dead").text)
    assert _replays(engine)[0]["chosen"] | {"until": ""} == {"status": "dead", "kind": "event", "until": ""}
    assert site.get("/replay?kind=event").status_code == 400


def test_users_are_read_afresh(site: TestClient, engine: Engine) -> None:
    """As the list of users asks for it: nobody of them need be dead."""
    for number in range(3):
        keep_user(engine, f"u{number}")

    plan = site.get("/replay?user=u0&user=u1&user=u2&user=nobody").text
    fields = [("id", each) for each in re.findall(r'<input type="hidden" name="id" value="([^"]*)">', plan)]
    site.post("/replays", data={"id": [each for _, each in fields]}, headers=OURS)

    assert "3 users are read at Seam and repaired where they drifted." in _words(plan)
    assert "1 not: neither a known event or user, nor a dead job" in _words(plan)
    assert _replays(engine)[0]["chosen"]["ids"] == ["u0", "u1", "u2", "nobody"]


def test_more_than_one_replay_takes(site: TestClient, engine: Engine, monkeypatch: Any) -> None:
    """Said, and bounded: the oldest ones."""
    monkeypatch.setattr(replay_pages, "MOST", 2)
    monkeypatch.setattr(replays, "PAGE", 2)
    monkeypatch.setattr(replays.page, "__kwdefaults__", {"limit": 2})
    for number in range(5):
        keep_event(engine, f"e{number}")

    plan = _words(site.get("/replay?status=done").text)
    site.post("/replays", data={"status": "done"}, headers=OURS)

    assert "More than 2 match. One replay from here takes the oldest 2" in plan
    assert _replays(engine)[0]["chosen"]["at_most"] == 2


def test_what_cannot_be_planned(site_on_sqlite: TestClient) -> None:
    """Nothing chosen, a time nobody can read, too many; a replay of nothing is not begun."""
    site = site_on_sqlite
    for query in ("", "status=", "since=x", "status=dead&tries=x", "&".join(f"id=e{n}" for n in range(2001))):
        assert site.get(f"/replay?{query}").status_code == 400, query[:40]
    for form in ({"status": "dead"}, {"status": "dead", "rate": "0"}, {"status": "dead", "rate": "x"}):
        answer = site.post("/replays", data=form, headers=OURS)
        assert "Nothing was replayed" in _words(site.get(answer.headers["location"]).text)
    assert site.post("/replays/7/stop", headers=OURS).status_code == 303
    assert site.post("/replays/7/resume", headers=OURS).status_code == 303
    for path in ("/replays/7", "/replays/x", "/replays/99999999999999999999"):
        assert site.get(path).status_code == 404


def test_hostile_words_are_only_words(site: TestClient, engine: Engine) -> None:
    """In causes, reasons, filters, names of who asked."""
    keep_event(engine, "e1", status="dead", reason=HOSTILE, cause=HOSTILE[:60])
    quoted = html.escape(HOSTILE)
    site.post("/replays", data={"status": "dead", "reason": HOSTILE}, headers=OURS)

    for path, query in (
        ("/dead", {"cause": HOSTILE[:60]}), ("/dead", {}), ("/dead/discard", {"cause": HOSTILE[:60]}),
        ("/replay", {"search": HOSTILE, "type": HOSTILE, "source": HOSTILE}), ("/replay", {"user": HOSTILE}),
        ("/replays", {}), ("/replays/1", {}), ("/events", {"source": HOSTILE, "search": HOSTILE, "system": HOSTILE}),
        ("/events/e1", {"payload": HOSTILE}),
    ):  # fmt: skip
        answer = site.get(path, params=query)
        assert answer.status_code == 200, path
        for markup in ("<script>", "<img/", ">49<"):
            assert markup not in answer.text, path
    assert quoted != HOSTILE
