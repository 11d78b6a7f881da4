"""A viewer sees nobody's name, e-mail address or telephone number; an operator does; a reveal is written down."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from console.web import masking
from seamkeeper import attempts, audit, clock, desired, history, issues, mirror, policies
from seamkeeper.mirror import Verdict
from seamkeeper.settings import Login, Settings
from tests.console.web.conftest import AT, Open, accept, keep_event, queues_of

FIRST, LAST = "Zaphodine", "Beeblebroxa"
NAME, LOCAL, PHONE = f"{FIRST} {LAST}", "zaphodmail", "+41791234567"
EMAIL = f"{LOCAL}@example.com"
OLD, WANTED = "Trilliania Mcmillana", "Marvinus Paranoidus"
SECRETS = (FIRST, LAST, LOCAL, PHONE, "791234567", *OLD.split(), *WANTED.split())
FORM = {"sec-fetch-site": "same-origin"}
SENTENCE = f"{NAME} ({EMAIL}, {PHONE}) was refused"


@pytest.fixture
def guarded(settings: Settings, open_site: Open) -> Iterator[TestClient]:
    """A console with a login for a viewer and for an operator."""
    logins = (Login("vic", "viewer", "a password of vic"), Login("ada", "operator", "a password of ada"))
    with open_site(replace(settings, console_logins=logins)) as client:
        yield client


VIEWER, OPERATOR = ("vic", "a password of vic"), ("ada", "a password of ada")


def _plant(engine: Engine, redis: Redis) -> str:
    """Somebody who is named in every field that a stranger, or the customer, can fill; gives the id of a job."""
    person = {"display_name": NAME, "full_name": NAME, "email": EMAIL, "email_address": EMAIL, "phone_number": PHONE}
    raw: dict[str, Any] = person | {
        "acs_user_id": "u1", "acs_system_id": "s1", "nickname": NAME, "notes": SENTENCE, NAME: {"deep": [NAME, PHONE]},
        "user_identity_full_name": NAME, "user_identity_phone_number": 41791234567, "resident": {"named": NAME},
        "errors": [{"error_code": "some_new_code", "message": SENTENCE}],
        "pending_mutations": [{"mutation_code": "updating_user_information", "from": person, "to": person}],
    }  # fmt: skip
    drift = {"full_name": {"observed": NAME, "desired": WANTED}}
    with engine.begin() as connection:
        before = mirror.standing(connection, "u1")
        mirror.keep(connection, before, {"full_name": OLD}, Verdict("in_sync", {}), health="ok", read_at=AT)
        before, at = mirror.standing(connection, "u1"), AT + timedelta(minutes=1)
        mirror.keep(connection, before, raw, Verdict("drifted", drift, SENTENCE), health="error", read_at=at)
        issues.keep_codes(connection, "u1", raw)
        issues.raise_finding(
            connection, "another_writer", acs_user_id="u1", message=SENTENCE,
            detail={"fields": {"full_name": {"desired": WANTED, "moves": []}}},
        )  # fmt: skip
        desired.set_desired(connection, "u1", {"full_name": WANTED, "phone_number": PHONE}, by=f"import by {EMAIL}")
        history.note_change(
            connection, "u1", "acs_user.changed", {"fields": ["full_name"], "was": NAME}, source="resync"
        )
        action = history.begin_action(
            connection, "u1", endpoint="/acs/users/update", asked_by="apply", request=person, before=raw, why=drift
        )
        history.end_action(connection, action, "refused", reason=SENTENCE)
        attempt = attempts.begin(connection, job_id="j1", job="reconcile_user", acs_user_id="u1")
        attempts.end(connection, attempt, "dead", reason=SENTENCE)
        policies.set_policy(
            connection, "user", "u1", by="ada", paused_until=clock.now() + timedelta(hours=1), reason=SENTENCE
        )
        line = audit.begin(connection, who="ada", role="operator", action="user.pause", kind="user", subject_id="u1")
        audit.end(connection, line, "refused", reason=SENTENCE)
        line = audit.begin(connection, who="ada", role="operator", action="user.x", kind="user", subject_id="u1")
        audit.end(connection, line, "done", detail={"why": SENTENCE, "name": NAME})
    keep_event(engine, "e1", status="dead", reason=SENTENCE, **person, resident=NAME, at=clock.now())
    with engine.begin() as connection:
        attempt = attempts.begin(connection, job_id="e1", job="handle_event", event_id="e1")
        line = {"at": clock.iso(AT), "event": "own.said", "level": "info", "reason": SENTENCE, "resident": NAME}
        attempts.end(connection, attempt, "ok", lines=[line | person])
    accept(redis, "e2", **person)
    return queues_of(redis).ask_reconcile("u1", why=f"refresh by {EMAIL}", source="operator")


def _read(text: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", text))


def test_a_viewer_sees_nobody(guarded: TestClient, engine: Engine, redis: Redis) -> None:
    """On no page, in no title, tooltip or payload."""
    job_id = _plant(engine, redis)
    paths = [
        "/", "/users", "/users?sync=drifted", "/users/plan", "/users/plan?user=u1", "/users/u1", "/events",
        "/events?user=u1", "/events/e1", "/events/e2", "/dead", "/queues", "/queues/reconcile/queued",
        "/queues/events/queued", f"/jobs/{job_id}", "/jobs/e2", "/settings", "/settings/audit",
    ]  # fmt: skip

    answers = {path: guarded.get(path, auth=VIEWER) for path in paths}
    found = {path: _seen(answer.text) for path, answer in answers.items() if _seen(answer.text)}

    assert found == {}
    assert {answer.status_code for answer in answers.values()} == {200}


def _seen(page: str) -> list[str]:
    """What of it stands in a page, with the words around."""
    read = _read(page)
    return [
        read[max(0, at.start() - 60) : at.end() + 20]
        for at in re.finditer("|".join(SECRETS).replace("+", r"\+"), read, re.I)
    ]


def test_an_operator_sees_everybody(guarded: TestClient, engine: Engine, redis: Redis) -> None:
    """The same pages, unmasked: else the test above would show nothing."""
    _plant(engine, redis)

    user, event = (_read(guarded.get(path, auth=OPERATOR).text) for path in ("/users/u1", "/events/e1"))

    assert [secret for secret in SECRETS if secret not in user] == []
    assert NAME in event
    assert EMAIL in event


def test_a_reveal_is_seen_once_and_written_down(guarded: TestClient, engine: Engine, redis: Redis) -> None:
    """The answer to the click is unmasked; the page after it is not; the audit says who looked at whom."""
    _plant(engine, redis)

    revealed = guarded.post("/users/u1/reveal", auth=VIEWER, headers=FORM)

    assert revealed.status_code == 200
    assert NAME in revealed.text
    assert PHONE in revealed.text
    assert NAME not in guarded.get("/users/u1", auth=VIEWER).text
    assert guarded.get("/users/u1/reveal", auth=VIEWER).headers["location"] == "/users/u1"
    with engine.connect() as connection:
        line = audit.lines(connection, kind="user", subject_id="u1")[0]
    assert (line["who"], line["action"], line["outcome"]) == ("vic", "user.reveal", "done")


def test_a_viewer_may_do_nothing_else(guarded: TestClient, engine: Engine, redis: Redis) -> None:
    """403, no button, and nothing asked for."""
    _plant(engine, redis)
    waiting = redis.llen("rq:queue:reconcile")
    words = ("sync", "refresh", "accept", "pause", "resume", "acknowledge", "snooze", "suspend", "recreate", "desired")

    answers = {word: guarded.post(f"/users/u1/{word}", auth=VIEWER, headers=FORM).status_code for word in words}
    forms = {word: guarded.get(f"/users/u1/{word}", auth=VIEWER).status_code for word in ("desired", "suspend")}
    page = guarded.get("/users/u1", auth=VIEWER).text

    assert set(answers.values()) == {403}
    assert set(forms.values()) == {403}
    assert re.findall(r'<form class="act" method="post" action="([^"]+)"', page) == ["/users/u1/reveal"]
    assert redis.llen("rq:queue:reconcile") == waiting


MASKED = {
    "name": (masking.masked_name, "Jack Doe", "J… D…"),
    "email": (masking.masked_email, "jack@example.com", "j…@example.com"),
    "phone": (masking.masked_phone, "+15555550101", "+1…0101"),
    "sentence": (masking.masked_text, "to jack@example.com, +1 555 555 0101", "to j…@example.com, +1…0101"),
    "id-stays": (masking.masked_text, "user 8d7e0b30-5c1f-4f0a-9d3e-012345678901", None),
    "time-stays": (masking.masked_text, "since 2026-11-22T08:30:00.123Z", None),
    "known-field": (masking.masked_json, {"acs_user_id": "8d7e", "created_at": "2026-11-22T08:30:00Z"}, None),
    "any-other-field": (masking.masked_json, {"resident": "Jack"}, {"resident": "J…"}),
    "a-code-with-spaces": (masking.masked_json, {"error_code": "Jack Doe"}, {"error_code": "J… D…"}),
    "a-number-as-code": (masking.masked_json, {"error_code": "+15555550101"}, {"error_code": "+1…0101"}),
    "a-name-as-key": (masking.masked_json, {"Jack Doe": 1}, {"…": 1}),
    "a-number": (masking.masked_json, {"phone": 15555550101, "n": 15555550101, "is_it": True},
                 {"phone": "…", "n": "…", "is_it": True}),
    "not-json": (masking.masked_json, "<Jack>",
                 "6 characters that are not JSON; your role sees no payloads that cannot be masked"),
}  # fmt: skip


@pytest.mark.parametrize("which", MASKED)
def test_what_is_masked_and_what_stays(which: str) -> None:
    """One case each; None: it stays as it is."""
    mask, value, expected = MASKED[which]

    assert mask(value) == (value if expected is None else expected)


def test_who_a_sentence_is_about_is_found_in_the_page() -> None:
    """A name in a sentence is masked when the page knows it as somebody's name."""
    known = masking.called({"user": {"observed": {"full_name": "Jack Doe"}}, "names": {"u1": "Mina Patel"}})

    assert masking.masked_text("Jack Doe and Patel, not Jackson", known) == "J… D… and P…, not Jackson"


def test_a_viewer_finds_people_by_whole_words_only(guarded: TestClient, engine: Engine, redis: Redis) -> None:
    """Else a telephone number that is masked could be had digit by digit; an operator finds by beginnings."""
    _plant(engine, redis)

    def finds(auth: tuple[str, str], search: str) -> tuple[bool, bool]:
        users, events = (guarded.get(path, params={"search": search}, auth=auth).text for path in ("/users", "/events"))
        return 'href="/users/u1"' in users, 'href="/events/e1"' in events

    for beginning in (PHONE[:8], FIRST[:4], LAST[:4], EMAIL[:4]):
        assert finds(VIEWER, beginning) == (False, False)
        assert finds(OPERATOR, beginning) == (True, True)
    for whole in (PHONE, NAME, f"{LAST} {FIRST}", EMAIL, "u1"):
        assert finds(VIEWER, whole) == (True, True)
    assert guarded.get("/events/export", params={"search": FIRST[:4]}, auth=VIEWER).text == ""
    assert guarded.get("/replay", params={"search": FIRST[:4]}, auth=VIEWER).status_code == 403


def test_a_replay_of_whom_somebody_searched(guarded: TestClient, engine: Engine, redis: Redis) -> None:
    """The words of the search are a person's name: masked where replays are listed."""
    _plant(engine, redis)
    to = guarded.post("/replays", data={"search": NAME}, headers=FORM, auth=OPERATOR).headers["location"]

    assert [_seen(guarded.get(path, auth=VIEWER).text) for path in ("/replays", to)] == [[], []]
    assert NAME in guarded.get(to, auth=OPERATOR).text
