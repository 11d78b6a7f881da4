"""The form for what is desired: every field, mistakes by field, nothing lost, nothing overwritten."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine
from starlette.testclient import TestClient

from seamkeeper import desired
from seamkeeper.settings import Settings
from tests.console.web.conftest import keep_user

FORM = {"sec-fetch-site": "same-origin"}
FUTURE = {"starts_at": "2099-01-01T10:00Z", "ends_at": "2099-02-01T10:00Z"}


def _written(page: str) -> dict[str, str]:
    """What the form holds, as a browser would send it."""
    form = re.search(r'<form class="desired".*?</form>', page, re.DOTALL)
    assert form
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form[0]):
        told = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        if told.get("type") != "radio" or " checked" in tag:
            found[told["name"]] = html.unescape(told.get("value", ""))
    chosen = re.search(r'<option value="(\w*)" selected', form[0])
    return found | {"is_suspended": chosen[1] if chosen else ""}


def _desired(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        return desired.desired_of(connection, "u1")


def test_the_whole_form_is_kept(site: TestClient, engine: Engine, redis: Redis) -> None:
    """Every field as it was written; by whom; a look is asked for; and the form shows it again."""
    keep_user(engine, "u1")
    fields = {
        "full_name": " Zoë 张 ", "email_address": "z@example.com", "phone_number": "+15555550101",
        "hid_acs_system_id": "h1", "schedule": "times", **FUTURE, "is_suspended": "no",
    }  # fmt: skip

    answer = site.post("/users/u1/desired", data=_written(site.get("/users/u1/desired").text) | fields, headers=FORM)

    assert answer.headers["location"] == "/users/u1"
    assert _desired(engine) == {
        "full_name": "Zoë 张", "email_address": "z@example.com", "phone_number": "+15555550101",
        "hid_acs_system_id": "h1", "access_schedule": FUTURE, "is_suspended": False,
    }  # fmt: skip
    assert redis.llen("rq:queue:reconcile") == 1
    written = _written(site.get("/users/u1/desired").text)
    assert {name: written[name] for name in fields} == fields | {"full_name": "Zoë 张"}


def test_what_is_emptied_is_not_managed_any_more(site: TestClient, engine: Engine) -> None:
    """Other fields stay; `without a schedule` is a wish of its own; an empty form is no wish at all."""
    keep_user(engine, "u1", wanted={"full_name": "Jack", "phone_number": "+15555550101", "is_suspended": True})

    def save(**fields: str) -> dict[str, Any]:
        page = site.get("/users/u1/desired").text
        site.post("/users/u1/desired", data=_written(page) | fields, headers=FORM)
        return _desired(engine)

    assert save(phone_number="", schedule="none") == {
        "full_name": "Jack",
        "access_schedule": None,
        "is_suspended": True,
    }
    assert save(is_suspended="") == {"full_name": "Jack", "access_schedule": None}
    assert save(full_name="", schedule="") == {}


def test_saving_the_same_changes_nothing(site: TestClient, engine: Engine, redis: Redis) -> None:
    """No new time, no look."""
    keep_user(engine, "u1", wanted={"full_name": "Jack"})
    with engine.connect() as connection:
        before = desired.stamp_of(connection, "u1")

    site.post("/users/u1/desired", data=_written(site.get("/users/u1/desired").text), headers=FORM)

    with engine.connect() as connection:
        assert desired.stamp_of(connection, "u1") == before
    assert redis.llen("rq:queue:reconcile") == 0


WRONG = {
    "phone": ({"phone_number": "555-0101"}, "phone_number", "must be in E.164 form"),
    "email": ({"email_address": "nobody"}, "email_address", "must be an e-mail address"),
    "past": ({"schedule": "times", "starts_at": "2020-01-01T10:00Z", "ends_at": "2020-02-01T10:00Z"},
             "access_schedule", "ends_at is in the past"),
    "open-end": ({"schedule": "times", "starts_at": "2099-01-01T10:00Z"}, "access_schedule", "must be ISO 8601"),
    "no-zone": ({"schedule": "times", "starts_at": "2099-01-01T10:00", "ends_at": "2099-02-01T10:00"},
                "access_schedule", "with a time zone"),
    "id": ({"hid_acs_system_id": "a b"}, "hid_acs_system_id", "is no id"),
    "long": ({"full_name": "x" * 600}, "full_name", "is longer than"),
}  # fmt: skip


@pytest.mark.parametrize("which", WRONG)
def test_a_mistake_is_shown_by_its_field(
    site_on_sqlite: TestClient, sqlite_settings: Settings, redis: Redis, which: str
) -> None:
    """422, everything that was written still there, nothing kept, nothing asked for."""
    from seamkeeper import database

    engine = database.open_engine(sqlite_settings.database_url)
    keep_user(engine, "u1", wanted={"full_name": "Jack"})
    fields, name, sentence = WRONG[which]
    site = site_on_sqlite
    sent = _written(site.get("/users/u1/desired").text) | {"full_name": '<i>"New"</i>'} | fields

    answer = site.post("/users/u1/desired", data=sent, headers=FORM)

    assert answer.status_code == 422
    assert re.search(rf'class="mistake">[^<]*{re.escape(html.escape(sentence))}', answer.text)
    assert f"1 field is not right: {name}" in answer.text
    assert _written(answer.text) == sent
    assert _desired(engine) == {"full_name": "Jack"}
    assert redis.llen("rq:queue:reconcile") == 0


def test_what_was_changed_meanwhile_is_not_overwritten(site: TestClient, engine: Engine) -> None:
    """Two people write: the second is told, keeps the words, and may save again."""
    keep_user(engine, "u1", wanted={"full_name": "Jack"})
    mine = _written(site.get("/users/u1/desired").text) | {"full_name": "Mine"}
    with engine.begin() as connection:
        desired.set_desired(connection, "u1", {"full_name": "Theirs"}, by="the application")

    refused = site.post("/users/u1/desired", data=mine, headers=FORM)

    assert refused.status_code == 422
    assert "was changed while you wrote" in refused.text
    assert _written(refused.text)["full_name"] == "Mine"
    assert _desired(engine) == {"full_name": "Theirs"}
    again = site.post("/users/u1/desired", data=_written(refused.text), headers=FORM)
    assert again.status_code == 303
    assert _desired(engine) == {"full_name": "Mine"}


def test_removing_ends_the_management(site: TestClient, engine: Engine) -> None:
    """Only what was seen is removed."""
    keep_user(engine, "u1", wanted={"full_name": "Jack"})
    stamp = {"seen_desired": _written(site.get("/users/u1/desired").text)["seen_desired"]}

    site.post("/users/u1/desired/remove", data={"seen_desired": "other"}, headers=FORM)
    kept = _desired(engine)
    site.post("/users/u1/desired/remove", data=stamp, headers=FORM)

    assert kept == {"full_name": "Jack"}
    assert _desired(engine) == {}


def test_somebody_never_seen_may_be_desired(site: TestClient, engine: Engine) -> None:
    """As an application may write it before we ever read the user."""
    sent = _written(site.get("/users/u1/desired").text) | {"full_name": "Jack"}

    assert site.post("/users/u1/desired", data=sent, headers=FORM).status_code == 303
    assert _desired(engine) == {"full_name": "Jack"}
    assert "Never read." in site.get("/users/u1").text
