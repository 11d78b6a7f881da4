"""Events and one event: found by everything, told in whole, replayed, exported; and what viewers see of it."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

from redis import Redis
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer
from sqlalchemy import Engine, update
from starlette.testclient import TestClient

from console.web import event_pages, words
from seamkeeper import attempts, audit, clock
from seamkeeper.database import events
from seamkeeper.keys import Keys
from seamkeeper.settings import Login, Settings
from tests.console.web.conftest import AT, Open, accept, keep_event, keep_user

OURS = {"sec-fetch-site": "same-origin"}
LOGINS = (Login("vera", "viewer", "pw-vera"), Login("otto", "operator", "pw-otto"), Login("ada", "admin", "pw-ada"))
VIEWER, OPERATOR = ("vera", "pw-vera"), ("otto", "pw-otto")


def _words(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _ids(site: TestClient, query: str) -> list[str]:
    return re.findall(r'<a href="/events/(e\d)"', site.get(f"/events?{query}").text)


def test_events_are_found_by_everything_that_is_known(site: TestClient, engine: Engine) -> None:
    """Their id, a delivery, a user's id, a name; by time, source, access system and tries."""
    keep_user(engine, "u2", name="Mina Patel")
    keep_event(engine, "e1", at=clock.now() - timedelta(minutes=5))
    keep_event(engine, "e2", acs_user_id="u2", at=clock.now() - timedelta(hours=5))
    keep_event(engine, "e3", acs_system_id="s9", at=clock.now() - timedelta(days=3))
    with engine.begin() as connection:
        connection.execute(update(events).where(events.c.event_id == "e3").values(source="backfill", delivery_id="x"))
        connection.execute(update(events).where(events.c.event_id == "e2").values(tries=3, delivery_id="msg_2"))

    found = {
        query: _ids(site, query)
        for query in ("search=e1", "search=msg_2", "search=u2", "search=mina", "time=1h", "time=24h", "time=7d",
                      "source=backfill", "system=s9", "tries=2", "tries=4", "user=u2&time=1h",
                      f"since={clock.now() - timedelta(days=1):%Y-%m-%dT%H:%M}&status=done")
    }  # fmt: skip

    assert list(found.values()) == [
        ["e1"], ["e2"], ["e2"], ["e2"], ["e1"], ["e1", "e2"], ["e1", "e2", "e3"],
        ["e3"], ["e3"], ["e2"], [], [], ["e1", "e2"],
    ]  # fmt: skip


def test_chips_count_within_the_filter(site: TestClient, engine: Engine) -> None:
    """How many of each status there are of what else is asked for."""
    for number in range(3):
        keep_event(engine, f"d{number}", status="dead", reason="no")
    keep_event(engine, "r1", status="retrying", reason="later", acs_user_id="u2")

    read, of_one = _words(site.get("/events").text), _words(site.get("/events?user=u2").text)

    assert "all 4 running retrying 1 dead 3 done ignored 0" in read
    assert "all 1 running retrying 1 dead 0" in of_one


def test_a_row_says_how_often_and_when_again(site: TestClient, engine: Engine) -> None:
    """Tries of how many, the next, how long it took."""
    keep_event(engine, "e1", status="retrying", reason="Seam answered 503", at=clock.now())
    keep_event(engine, "e2", at=clock.now() - timedelta(minutes=3))

    read = _words(site.get("/events").text)

    assert re.search(r"1 of \d next in 59 min", read)
    assert "Seam answered 503" in read
    assert re.search(r"1 3 min", read)


def test_times_and_numbers_that_cannot_be_read(site_on_sqlite: TestClient) -> None:
    """400 and a sentence."""
    for query in ("since=yesterday", "until=9999999-01-01", "tries=x", "tries=99999", "tries=-1", "since=2026-13-01"):
        assert site_on_sqlite.get(f"/events?{query}").status_code == 400, query
        assert site_on_sqlite.get(f"/events/export?{query}").status_code == 400, query


def test_an_export_is_a_line_for_each_event(site: TestClient, engine: Engine, monkeypatch: Any) -> None:
    """All that match, through several pieces, newest first, with the body; or those that were chosen; bounded."""
    monkeypatch.setattr(event_pages, "_PIECE", 3)
    for number in range(8):
        keep_event(engine, f"e{number}", at=AT + timedelta(minutes=number))

    answer, some = site.get("/events/export?status=done"), site.get("/events/export?id=e2&id=none&id=e1")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    monkeypatch.setattr(event_pages, "MOST_EXPORTED", 5)
    bounded = site.get("/events/export").text.splitlines()

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [line["event_id"] for line in lines] == [f"e{number}" for number in range(7, -1, -1)]
    assert json.loads(lines[0]["body"])["event_id"] == "e7"
    assert [json.loads(line)["event_id"] for line in some.text.splitlines()] == ["e2", "e1"]
    assert len(bounded) == 6


def test_viewers_see_nobody(settings: Settings, open_site: Open, engine: Engine) -> None:
    """Names, addresses and numbers in rows, reasons, payloads, trees and exports; operators see them."""
    keep_user(engine, "u1", name="Mina Patel")
    about = {"full_name": "Mina Patel", "email_address": "mina@example.com", "phone_number": "+15555550101"}
    keep_event(engine, "e1", status="dead", reason="phone +15555550101 of mina@example.com is wrong", **about)
    paths = ("/events", "/events/e1", "/events/e1?payload=tree", "/events/export", "/events/export?id=e1", "/dead")

    with open_site(replace(settings, console_logins=LOGINS)) as site:
        for path in paths:
            seen, whole = (site.get(path, auth=auth).text for auth in (VIEWER, OPERATOR))
            for hidden in ("Mina Patel", "mina@example.com", "+15555550101"):
                assert hidden not in seen, path
            assert "+15555550101" in whole, path
        assert site.post("/events/e1/replay", auth=VIEWER, headers=OURS).status_code == 403
        assert "Replay" not in re.sub(r"Replays there were", "", _words(site.get("/events/e1", auth=VIEWER).text))


def test_an_event_shows_what_each_try_asked(site: TestClient, engine: Engine) -> None:
    """Its own try, and the reconcile of its user that followed, with calls, cause and request id."""
    keep_event(engine, "e1")
    with engine.begin() as connection:
        number = attempts.begin(connection, job_id="r1", job="reconcile_user", acs_user_id="u1")
        call = {"method": "POST", "path": "/acs/users/update", "status": 400, "ms": 98, "request_id": "req-7"}
        attempts.end(
            connection, number, "dead", reason="phone_number must be E.164", cause="seam:400:invalid_input",
            request_id="req-7", calls=[call],
            lines=[{"at": "2026-11-22T10:00:01.25Z", "event": "own.opened", "level": "info", "door": "<b>north</b>"}],
        )  # fmt: skip
        attempts.end(connection, attempts.begin(connection, job_id="r2", job="reconcile_user", acs_user_id="u1"), "ok")

    read = _words(site.get("/events/e1").text)

    assert "User compared with Seam dead" in read
    assert "POST /acs/users/update 400 98 ms · request req-7" in read
    assert "seam:400:invalid_input" in read
    assert "10:00:01.25Z own.opened door= <b>north</b>" in read
    assert read.count("User compared with Seam") == 1  # the later one is another event's


def test_an_event_says_how_often_it_was_delivered(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Seam delivers until it is answered in time: the duplicates are counted, and none becomes an event."""
    keep_event(engine, "e1")
    accept(redis, "e1")
    once = _words(site.get("/events/e1").text)
    accept(redis, "e1")
    twice = _words(site.get("/events/e1").text)

    assert "Delivered once." in once
    assert "Delivered 2 times; all but the first were answered 204 as duplicates." in twice


def test_a_failed_job_shows_our_frames_first(site: TestClient, engine: Engine, redis: Redis) -> None:
    """The innermost frame of ours, the error, the whole below."""
    accept(redis, "e1")
    job = Job.fetch("e1", connection=redis, serializer=JSONSerializer)
    redis.lrem("rq:queue:events", 0, "e1")
    job.set_status(JobStatus.FAILED)
    with redis.pipeline() as pipeline:
        FailedJobRegistry("events", connection=redis).add(job, ttl=3600, pipeline=pipeline)
        pipeline.execute()
    traceback = (
        'Traceback (most recent call last):\n  File "/a/site-packages/rq/worker.py", line 1, in perform\n    go()\n'
        '  File "/srv/app/workers/jobs.py", line 60, in handle_event\n    reaction(event)\n'
        '  File "/a/site-packages/httpx/x.py", line 9, in send\n    raise\nKeyError: <b>nothing</b>\n'
    )
    Result.create_failure(job, 3600, traceback)
    keep_event(engine, "e1", status="dead", reason="unexpected KeyError")

    page = site.get("/events/e1").text
    ours = re.search(r'aria-label="Frames of our code and yours">(.*?)</pre>', page, re.S)

    assert ours is not None
    assert "workers/jobs.py&#34;, line 60, in handle_event\n    reaction(event)" in ours[1]
    assert "site-packages" not in ours[1]
    assert "KeyError: &lt;b&gt;nothing&lt;/b&gt;" in page


def test_a_replay_is_one_press(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Its ordinary job again; said once; in the audit. A second press finds it waiting."""
    keep_event(engine, "weird/id", status="dead", reason="no")

    first = site.post("/events/weird%2Fid/replay", headers=OURS)
    page, later = _words(site.get(first.headers["location"]).text), _words(site.get("/events/weird%2Fid").text)
    second = site.post("/events/weird%2Fid/replay", headers=OURS)
    refused = _words(site.get(second.headers["location"]).text)

    assert (first.status_code, first.headers["location"]) == (303, "/events/weird%2Fid")
    assert "It is in the queue again" in page
    assert "It is in the queue again" not in later
    assert "waiting or running already" in refused
    assert redis.llen("rq:queue:events") == 1
    with engine.connect() as connection:
        lines = audit.lines(connection, kind="event", subject_id="weird/id")
    assert [(line["action"], line["outcome"]) for line in lines] == [
        ("event.replay", "refused"), ("event.replay", "done"),
    ]  # fmt: skip


def test_what_is_no_event_is_not_replayed(site: TestClient, engine: Engine, redis: Redis) -> None:
    """A body in quarantine, an id that nobody knows."""
    keep_event(engine, "q1", status="quarantined", reason="no JSON")

    for event_id in ("q1", "nobody"):
        assert site.post(f"/events/{event_id}/replay", headers=OURS).status_code == 303
    assert redis.llen("rq:queue:events") == 0


def test_all_with_this_error_are_a_plan_away(site: TestClient, engine: Engine) -> None:
    """With how many there are."""
    for number in range(3):
        keep_event(engine, f"e{number}", status="dead", reason="no", cause="seam:5xx")

    page = site.get("/events/e1").text

    assert 'href="/replay?status=dead&amp;cause=seam%3A5xx"' in page
    assert "Replay all with this error (3)" in _words(page)


def test_a_payload_opens_as_a_tree(site: TestClient, engine: Engine) -> None:
    """Lists and objects that open without a script; deep and wide ones end somewhere."""
    deep: Any = "end"
    for _ in range(40):
        deep = [deep]
    keep_event(engine, "e1", about={"<b>x</b>": [1, None, {"a": True}]}, deep=deep, wide=list(range(2000)))

    page = site.get("/events/e1?payload=tree").text

    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "too deep to be shown here" in page
    assert page.count("<li>") < 1200


def test_rejected_requests_are_listed(site: TestClient, redis: Redis) -> None:
    """Why, which delivery, from where; hostile words are words."""
    line = {"at": clock.iso(AT), "outcome": "bad_signature", "delivery_id": "<script>", "sender": "192.0.2.7"}
    redis.lpush(Keys().rejected(), json.dumps(line))

    page = site.get("/events/rejected").text

    assert "bad signature" in _words(page)
    assert "192.0.2.7" in page
    assert "<script>" not in page.replace("<script src=", "")


def test_a_link_to_the_plan_says_the_filter(site: TestClient, engine: Engine) -> None:
    """A user's events are `about` there: `user` names who is read afresh."""
    keep_event(engine, "e1", at=clock.now())

    page = site.get("/events?user=u1&status=done&time=1h").text
    [path] = re.findall(r'href="(/replay\?[^"]+)"', page)
    plan = _words(site.get(html.unescape(path)).text)

    assert "about=u1" in path
    assert "since=" in path
    assert "1 event of 1 user is worked through once more" in plan


def test_a_duration_keeps_its_largest_unit() -> None:
    """Also one that is shorter than a tenth of a second."""
    spans = (None, 0, 0.0004, 0.008, 0.0949, 0.095, 3.42, 59, 150, 7200, 432_000)

    told = [words.lasting(seconds) for seconds in spans]

    assert told == ["–", "0 s", "1 ms", "8 ms", "95 ms", "0.1 s", "3.4 s", "59 s", "2.5 min", "2 h", "5 d"]
