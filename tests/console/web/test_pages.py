"""Each page, with something to show and without."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.registry import FailedJobRegistry
from rq.results import Result
from rq.serializers import JSONSerializer
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.web.meanings import MEANINGS
from seamkeeper import clock, issues, mirror
from tests.console.web.conftest import AT, accept, keep_event, keep_user, queues_of
from workers.playbook import PLAYBOOK

PAGES = ("/", "/events", "/users", "/queues", "/queues/events/queued", "/queues/resync/failed", "/dead", "/settings")


def _words(text: str) -> str:
    """A page as it is read: without markup, entities resolved."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_an_empty_house(site_on_sqlite: TestClient, path: str) -> None:
    """Every page is whole before anything has happened: one heading, and no failure."""
    answer = site_on_sqlite.get(path)

    assert answer.status_code == 200
    assert answer.text.count("<h1") == 1
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_first_run_is_guided(site: TestClient, engine: Engine) -> None:
    """An empty overview says what to do, and stops saying it after the first event."""
    assert "No event yet" in site.get("/").text

    keep_event(engine, "e1")

    assert "No event yet" not in site.get("/").text


def test_the_overview_says_what_needs_a_person(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Dead events, missing workers, people with errors: each is named on the first page."""
    keep_event(engine, "e1", status="dead", reason="Seam answered 400", at=clock.now())
    keep_event(engine, "e2", at=clock.now() - timedelta(hours=2))
    keep_user(engine, "u1", name="Mina Patel", health="error", sync="unknown")
    keep_user(engine, "u2", name="Fine Fellow")
    accept(redis, "e9")

    read = _words(site.get("/").text)

    assert "1 dead letter" in read
    assert "No worker is running" in read
    assert "Events, last 60 min 1 1 dead" in read
    assert "1 waiting" in read
    assert "Mina Patel" in read
    assert "Fine Fellow" not in read
    assert "1 in sync" in read
    assert "1 unknown" in read


def test_an_event_tells_its_whole_way(site: TestClient, engine: Engine) -> None:
    """Payload as received, attempts with reasons, whose event it is."""
    keep_user(engine, "u1", name="Zoë 张")
    keep_event(engine, "e1", status="retrying", reason="Seam answered 503")

    read = _words(site.get("/events/e1").text)

    assert '"event_id": "e1"' in read
    assert "Attempt 1 retry" in read
    assert read.count("Seam answered 503") == 2  # of the event, of the attempt
    assert "next try" in read
    assert "Zoë 张" in read


def test_an_accepted_event_is_found_before_its_job_ran(site: TestClient, redis: Redis) -> None:
    """The journal has no row yet, RQ has the body: status queued."""
    accept(redis, "weird/id?#&", acs_user_id="u7")

    answer = site.get("/events/weird%2Fid%3F%23%26")

    assert answer.status_code == 200
    assert "queued" in _words(answer.text)
    assert '"acs_user_id": "u7"' in _words(answer.text)


def test_a_quarantined_body_is_shown_as_it_came(site: TestClient, engine: Engine) -> None:
    """What is no JSON is shown all the same."""
    from seamkeeper import journal
    from seamkeeper.journal import Arrival

    with engine.begin() as connection:
        journal.write_unreadable(connection, "unreadable-1", "<no json>", "the body is not JSON", Arrival(AT, "w", "m"))

    assert "&lt;no json&gt;" in site.get("/events/unreadable-1").text


def test_a_user_is_compared_field_by_field(site: TestClient, engine: Engine) -> None:
    """Desired, live, what was known, and the plan; fields nobody manages are said to be so."""
    wanted = {"full_name": "Jack Doe", "phone_number": "+15555550101"}
    drift = {"phone_number": {"observed": "+15555550222", "desired": "+15555550101"}}
    warning = {"warning_code": "salto_ks_user_not_subscribed", "message": "Not subscribed."}
    keep_user(
        engine, "u1", sync="drifted", health="warning", drift=drift, wanted=wanted,
        phone_number="+15555550222", warnings=[warning],
    )  # fmt: skip

    read = _words(site.get("/users/u1").text)

    assert "full_name Jack Doe Jack Doe Jack Doe no change" in read
    assert "phone_number +15555550101 +15555550222 +15555550222 ~ set to +15555550101" in read
    assert "email_address not managed not set not set ignored: no desired value" in read
    assert "cannot open doors now" in read
    assert "acs_user.appeared webhook" in read


def test_a_finding_tells_who_moved_what(site: TestClient, engine: Engine) -> None:
    """With its meaning, the next step, and who takes care of it."""
    keep_user(engine, "u1", sync="drifted")
    moves = [{"at": "2026-11-22T08:30:00.000000Z", "who": "another writer"}]
    with engine.begin() as connection:
        detail = {"fields": {"full_name": {"desired": "Jane", "moves": moves}}}
        issues.raise_finding(connection, "another_writer", acs_user_id="u1", message="again and again", detail=detail)
        [issue] = issues.open_issues(connection, "u1")
        issues.acknowledge(connection, issue["issue_id"], by="Ada")

    page = site.get("/users/u1").text

    for words in ("another_writer", "again and again", "acknowledged by", "Ada", "another writer", "seamkeeper apply"):
        assert words in page


def test_every_code_has_a_meaning() -> None:
    """Those of the playbook, and our own findings."""
    assert set(MEANINGS) == {*PLAYBOOK, *issues.FINDINGS}


def test_a_deleted_user_keeps_its_last_observation(site: TestClient, engine: Engine) -> None:
    """A tombstone is for people: who it was can still be read."""
    keep_user(engine, "u1", wanted={"full_name": "Jack Doe"})
    with engine.begin() as connection:
        mirror.bury(connection, "u1", read_at=AT + timedelta(hours=1), reason="a GET says 404")

    read = _words(site.get("/users/u1").text)

    assert "Last seen in Seam" in read
    assert "A GET says 404." in read
    assert "full_name Jack Doe Jack Doe Jack Doe deleted" in read


def test_a_user_only_desired_was_never_read(site: TestClient, engine: Engine) -> None:
    """The customer may write what is desired before we ever saw the user."""
    from seamkeeper import desired

    with engine.begin() as connection:
        desired.set_desired(connection, "u1", {"full_name": "Jack Doe"}, by="a test")

    assert "full_name Jack Doe not set not set never read" in _words(site.get("/users/u1").text)


def test_waiting_and_later_jobs_are_listed(site: TestClient, redis: Redis) -> None:
    """Jobs in words, with a page for each."""
    job_id = queues_of(redis).ask_reconcile("u1", why="acs_user.created", source="webhook")
    queues_of(redis).ask_reconcile("u2", why="a write", source="repair", delay=timedelta(minutes=5))

    assert "reconcile u1 (acs_user.created)" in _words(site.get("/queues/reconcile/queued").text)
    assert re.search(
        r"reconcile u2 \(a write\) in (4|5) min 0 of 7", _words(site.get("/queues/reconcile/scheduled").text)
    )
    read = _words(site.get(f"/jobs/{job_id}").text)
    assert "acs_user_id u1 why acs_user.created source webhook" in read


def test_a_failed_job_tells_how(site: TestClient, redis: Redis) -> None:
    """The traceback is there, its payload is not: a body belongs to the page of its event."""
    accept(redis, "e1", email="someone@example.com")
    _fail(redis, "events", "e1", "Permanent: Seam answered <400>")

    page = site.get("/jobs/e1").text

    assert "Seam answered &lt;400&gt;" in page
    assert 'href="/events/e1"' in page
    assert "someone@example.com" not in page
    assert "e1" in _words(site.get("/queues/events/failed").text)
    assert "1 in events" in _words(site.get("/dead").text)


def test_workers_show_their_work_and_the_lost_one(site: TestClient, redis: Redis) -> None:
    """A worker whose heartbeat ended stays in sight, and looking does not make RQ forget it."""
    accept(redis, "e1")
    _register(redis, "alive", state="busy", last_heartbeat=clock.iso(clock.now()), queues="events")
    _register(redis, "lost")
    redis.sadd("rq:worker:alive:executions", "e1:x")

    for _ in range(2):
        read = _words(site.get("/queues").text)
        assert "alive busy acs_user.created e1 events" in read
        assert "lost lost" in read


@pytest.mark.parametrize(
    "path",
    ["/nope", "/events/none", "/users/none", "/jobs/none", "/jobs/a%20b", "/queues/other/failed", "/queues/events/x"],
)
def test_what_is_not_there_is_said_in_words(site_on_sqlite: TestClient, path: str) -> None:
    """404, with a page that leads on."""
    answer = site_on_sqlite.get(path)

    assert answer.status_code == 404
    assert "Go to the overview" in answer.text


@pytest.mark.parametrize(
    "path", ["/events?before=x", "/events?before=2026~", "/dead?before=~", "/queues/events/failed?from=-1"]
)
def test_a_damaged_place_in_a_list(site_on_sqlite: TestClient, path: str) -> None:
    """400 and a sentence, no failure."""
    assert site_on_sqlite.get(path).status_code == 400


def test_live_pages_ask_again_by_themselves(site_on_sqlite: TestClient) -> None:
    """Without script: the browser reloads, and only when it was asked to."""
    assert 'http-equiv="refresh"' in site_on_sqlite.get("/queues?live=1").text
    assert 'http-equiv="refresh"' not in site_on_sqlite.get("/queues").text
    assert 'http-equiv="refresh"' not in site_on_sqlite.get("/settings?live=1").text


def _fail(redis: Redis, queue: str, job_id: str, traceback: str) -> None:
    """The job as RQ leaves it after its last try."""
    job = Job.fetch(job_id, connection=redis, serializer=JSONSerializer)
    redis.lrem(Queue(queue, connection=redis).key, 0, job_id)
    job.set_status(JobStatus.FAILED)
    with redis.pipeline() as pipeline:
        FailedJobRegistry(queue, connection=redis).add(job, ttl=3600, pipeline=pipeline)
        pipeline.execute()
    Result.create_failure(job, 3600, traceback)


def _register(redis: Redis, name: str, **fields: str) -> None:
    redis.sadd("rq:workers", f"rq:worker:{name}")
    for field, value in fields.items():
        redis.hset(f"rq:worker:{name}", field, value)
