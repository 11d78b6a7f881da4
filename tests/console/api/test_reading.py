"""Reading: lists with filters and pages, one of each, masked for viewers, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from redis import Redis
from sqlalchemy import Engine

from seamkeeper import dead, issues, journal
from seamkeeper.dead import Failure, Subject
from seamkeeper.journal import Arrival
from tests.console.api.conftest import Api, Ask
from tests.console.web.conftest import AT, accept, keep_event, keep_user

ERROR = {"error_code": "failed_to_update_on_acs_system", "message": "call jack@example.com"}


def _all(api: Api, path: str, key: str, **params: Any) -> list[list[Any]]:
    """The keys on each page, from the first to the last."""
    pages: list[list[Any]] = []
    cursor = None
    while cursor is not None or not pages:
        found = api.get(path, **params, **({"cursor": cursor} if cursor else {}))
        pages.append([each[key] for each in found["items"]])
        cursor = found["next_cursor"]
    return pages


def test_users(api: Api, engine: Engine) -> None:
    """By id, by page, by every filter."""
    keep_user(engine, "u1", wanted={"full_name": "Jack Doe"})
    keep_user(engine, "u2", name="Mina Patel", sync="drifted", drift={"full_name": {"observed": "M", "desired": "P"}})
    keep_user(engine, "u3", name="Tom Becker", sync="unknown", health="error", errors=[ERROR])

    assert _all(api, "/users", "acs_user_id", limit=2) == [["u1", "u2"], ["u3"]]
    filters: list[tuple[dict[str, str], list[str]]] = [
        ({"sync": "drifted"}, ["u2"]), ({"health": "error"}, ["u3"]), ({"system": "s1", "sync": "drifted"}, ["u2"]),
        ({"system": "other"}, []), ({"search": "bec"}, ["u3"]), ({"search": "\x00"}, []), ({"managed": "true"}, ["u1"]),
        ({"managed": "false"}, ["u3"]), ({"code": ERROR["error_code"]}, ["u3"]), ({"code": "none"}, []),
    ]  # fmt: skip
    for asked, expected in filters:
        assert _all(api, "/users", "acs_user_id", **asked) == [expected], asked
    assert api.get("/users", health="error")["items"][0]["codes"] == [ERROR["error_code"]]


def test_one_user(api: Api, engine: Engine) -> None:
    """What is desired, what Seam said, what is wrong; 404 for one that nobody knows."""
    keep_user(engine, "u1", health="error", errors=[ERROR], wanted={"full_name": "Jack Doe"})

    user = api.get("/users/u1")

    assert user["observed"]["display_name"] == "Jack Doe"
    assert user["desired"] == {"full_name": "Jack Doe"}
    assert [each["code"] for each in user["issues"]] == [ERROR["error_code"]]
    assert api("GET", "/users/u9").json()["error"]["type"] == "not_found"


def test_issues(api: Api, engine: Engine) -> None:
    """By state, code and access system; taken care of and put off, each with its name in it."""
    keep_user(engine, "u1", health="error", errors=[ERROR])
    with engine.begin() as connection:
        issues.raise_finding(connection, "too_many_missing", acs_system_id="s2", message="many", detail={"missing": 9})
        issues.raise_finding(connection, "webhook_silent", message="silent")
    codes = _all(api, "/issues", "code", limit=2)
    assert codes == [["webhook_silent", "too_many_missing"], [ERROR["error_code"]]]
    assert _all(api, "/issues", "code", system="s2") == [["too_many_missing"]]
    (number,) = _all(api, "/issues", "issue_id", code="webhook_silent")[0]

    taken = api("POST", f"/issues/{number}/acknowledge").json()

    assert (taken["state"], taken["acknowledged_by"]) == ("acknowledged", "admin app (API)")
    assert "webhook_silent" not in _all(api, "/issues", "code", state="open")[0]
    assert api("POST", f"/issues/{number}/snooze", json={"hours": 2}).json()["state"] == "snoozed"
    assert api("POST", f"/issues/{number}/snooze", json={"until": "9999-12-31T23:59:59Z"}).json()["state"] == "snoozed"
    for wrong in ({}, {"hours": 2, "until": "2099-01-01T00:00:00Z"}, {"until": "2020-01-01T00:00:00Z"}, {"hours": 1e9}):
        assert api("POST", f"/issues/{number}/snooze", json=wrong).status_code == 422
    with engine.begin() as connection:
        issues.clear_finding(connection, "webhook_silent")
    assert api.get(f"/issues/{number}")["state"] == "cleared"
    assert api("POST", f"/issues/{number}/acknowledge").status_code == 409
    assert api("POST", "/issues/999/acknowledge").status_code == 404
    assert _all(api, "/issues", "issue_id", state="cleared") == [[number]]


def test_events(api: Api, engine: Engine) -> None:
    """Newest first, pages whole though all came at once, by every filter; one with its tries and payload."""
    for number in range(5):
        keep_event(engine, f"e{number}")
    keep_event(engine, "dead", status="dead", reason="no", at=AT + timedelta(hours=1), event_type="acs_user.deleted")

    assert _all(api, "/events", "event_id", limit=3) == [["dead", "e4", "e3"], ["e2", "e1", "e0"]]
    filters = [
        {"status": "dead"}, {"type": "acs_user.deleted"}, {"since": "2026-11-22T09:00:00Z"}, {"search": "dead"},
        {"system": "s1", "user": "u1", "source": "webhook", "status": "dead"},
    ]  # fmt: skip
    for asked in filters:
        assert _all(api, "/events", "event_id", **asked) == [["dead"]], asked
    assert _all(api, "/events", "event_id", until="2020-01-01T00:00:00Z") == [[]]
    assert api.get("/events", tries_at_least=2)["items"] == []
    event = api.get("/events/dead")
    assert event["payload"]["acs_user_id"] == "u1"
    assert [each["outcome"] for each in event["attempts"]] == ["dead"]
    assert api("GET", "/events/none").status_code == 404


def test_dead_letters(api: Api, api_of: Ask, engine: Engine) -> None:
    """By cause and one by one; taking them off needs an admin, their number and a reason."""
    with engine.begin() as connection:
        for number in range(3):
            subject = Subject("event", f"e{number}", "handle_event", acs_user_id="u1")
            dead.write(connection, subject, Failure("no", "seam:400:invalid_input", "phone_number"), tries=2)
        dead.write(connection, Subject("user", "u9", "reconcile_user"), Failure("silent", "seam:5xx"), tries=8)

    causes = api.get("/dead-letters/causes")["items"]
    assert [(each["cause"], each["number"], each["users"]) for each in causes] == [
        ("seam:400:invalid_input", 3, 1), ("seam:5xx", 1, 0),
    ]  # fmt: skip
    assert _all(api, "/dead-letters", "subject_id", limit=3) == [["u9", "e2", "e1"], ["e0"]]
    asked = {"cause": "seam:400:invalid_input", "number": 3, "reason": "a test"}
    assert api_of("operator")("POST", "/dead-letters/discard", json=asked).status_code == 403
    assert api("POST", "/dead-letters/discard", json=asked | {"number": 4}).status_code == 409
    assert api("POST", "/dead-letters/discard", json=asked | {"ids": ["e1"]}).status_code == 422
    assert api("POST", "/dead-letters/discard", json=asked).json() == {"discarded": 3}
    assert _all(api, "/dead-letters", "subject_id") == [["u9"]]


def test_queues(api: Api, redis: Redis) -> None:
    """What waits, and letting one wait; the same again is nothing."""
    accept(redis, "e1", "e2")

    events, *_others = api.get("/queues")["items"]
    assert (events["name"], events["counts"]["queued"], events["is_paused"]) == ("events", 2, False)
    assert events["oldest_age"] >= 0
    assert api("POST", "/queues/events/pause").json() == {"name": "events", "is_paused": True, "changed": True}
    assert api("POST", "/queues/events/pause").json()["changed"] is False
    assert api.get("/queues")["items"][0]["is_paused"] is True
    assert api("POST", "/queues/events/resume").json() == {"name": "events", "is_paused": False, "changed": True}
    assert api("POST", "/queues/other/pause").status_code == 422


def test_a_viewer_sees_nobody(api_of: Ask, engine: Engine) -> None:
    """No name, address or number in any answer, wherever a stranger put it; an operator sees them."""
    about = {"email_address": "jack@example.com", "phone_number": "+15555550101", "errors": [ERROR]}
    drift = {"full_name": {"observed": "Jack Doe", "desired": "John Doe"}}
    reason = "Jack Doe, +15555550101 was refused"
    keep_user(engine, "u1", health="error", drift=drift, reason=reason, wanted={"full_name": "Jack Doe"}, **about)
    keep_event(engine, "e1", status="dead", reason="jack@example.com was refused", full_name="Jack Doe")
    with engine.begin() as connection:
        for name, body in (("q1", "Jack Doe is here"), ("q2", '"Jack Doe"')):
            journal.write_unreadable(connection, name, body, "no event", Arrival(AT, "webhook", "msg_2"))
        letter = Failure("+15555550101 was refused", "seam:400")
        dead.write(connection, Subject("event", "e1", "handle_event"), letter, tries=1)
        issues.raise_finding(
            connection, "another_writer", acs_user_id="u1", message="+15555550101 moved", detail={"fields": drift}
        )  # fmt: skip
    paths = [
        "/users",
        "/users/u1",
        "/events",
        "/events/e1",
        "/events/q1",
        "/events/q2",
        "/issues",
        "/issues/1",
        "/issues/2",
        "/dead-letters",
    ]
    paths += ["/desired", "/desired/u1", "/dead-letters/causes"]

    seen = {role: "".join(str(api_of(role).get(path)) for path in paths) for role in ("viewer", "operator")}

    for secret in ("Jack", "John", "jack@", "5555550101"):
        assert secret not in seen["viewer"]
        assert secret in seen["operator"]


def test_a_viewer_finds_people_by_whole_words_only(api_of: Ask, engine: Engine) -> None:
    """By beginnings a masked number could be had digit by digit."""
    keep_user(engine, "u1", phone_number="+15555550101")
    keep_event(engine, "e1")
    asked = [(role, path, search) for role in ("viewer", "operator") for path in ("/users", "/events")
             for search in ("+1555", "+15555550101")]  # fmt: skip

    found = {each: len(api_of(each[0]).get(each[1], search=each[2])["items"]) for each in asked}

    assert [each for each, number in found.items() if not number] == [
        ("viewer", "/users", "+1555"), ("viewer", "/events", "+1555")
    ]  # fmt: skip
