"""`seamkeeper desired`: kept, compared at once, and every slip told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper import database, desired
from tests.console.web.conftest import keep_user

from .conftest import NOBODY, Seamkeeper

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SCHEDULE = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}


def wanted(engine: Engine, acs_user_id: str) -> dict[str, Any]:
    """What is desired of a user."""
    with database.reading(engine) as connection:
        return desired.desired_of(connection, acs_user_id)


def asked(redis: Redis) -> int:
    """How many reconciles wait."""
    return int(redis.llen("rq:queue:reconcile"))


def test_set_keeps_and_asks(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Fields add up; the user is compared at once; nothing is on stdout."""
    first = seamkeeper("desired", "set", "u1", "full_name=Jack Doe", "phone_number=+15555550100")
    second = seamkeeper("desired", "set", "u1", "access_schedule=null", "full_name=Jane Doe")

    assert (first.code, first.out, first.err) == (0, "", "Set full_name, phone_number of u1.\n")
    assert second.code == 0
    assert wanted(engine, "u1") == {
        "full_name": "Jane Doe", "phone_number": "+15555550100", "access_schedule": None,
    }  # fmt: skip
    assert asked(redis) == 1


def test_whether_somebody_is_suspended(seamkeeper: Seamkeeper, engine: Engine, tmp_path: Path) -> None:
    """By the command and from a file; an empty cell leaves it alone, anything but true or false is a slip."""
    file = tmp_path / "people.csv"
    file.write_text("acs_user_id,full_name,is_suspended\nu2,Jane,false\nu3,Jim,\nu4,Ann,maybe\n")

    said = seamkeeper("desired", "set", "u1", "is_suspended=true")
    refused = seamkeeper("desired", "set", "u1", "is_suspended=yes please")
    imported = seamkeeper("desired", "import", str(file))

    assert (said.code, refused.code, imported.code) == (0, 2, 3)
    assert "is_suspended must be true or false" in refused.err
    assert "people.csv:4: is_suspended must be true or false" in imported.err
    assert [wanted(engine, name) for name in ("u1", "u2", "u3", "u4")] == [
        {"is_suspended": True}, {"full_name": "Jane", "is_suspended": False}, {"full_name": "Jim"}, {},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["u1"], "Missing argument 'FIELD=VALUE…'", id="nothing"),
        pytest.param(["u1", "full_name"], "is not FIELD=VALUE", id="no-value"),
        pytest.param(["u1", "phone_number=0151 2345"], "E.164", id="national"),
        pytest.param(["u1", "colour=red", "email_address=x"], "colour is not a field", id="unknown"),
        pytest.param(["u 1", "full_name=Jack"], "'u 1' is no id", id="no-id"),
        pytest.param(["", "full_name=Jack"], "'' is no id", id="empty-id"),
        pytest.param(["\udcff", "full_name=Jack"], "is no id", id="not-utf-8"),
    ],
)
def test_set_refuses_what_cannot_be_meant(
    seamkeeper: Seamkeeper, engine: Engine, redis: Redis, arguments: list[str], reason: str
) -> None:
    """Exit 2, with the reason; nothing is kept."""
    said = seamkeeper("desired", "set", *arguments)

    assert said.code == 2
    assert reason in said.err
    assert wanted(engine, "u1") == {}
    assert asked(redis) == 0


def test_every_wrong_field_is_told_at_once(seamkeeper: Seamkeeper) -> None:
    """Nobody wants to hear of them one by one."""
    said = seamkeeper("desired", "set", "u1", "colour=red", "email_address=x", "phone_number=1")

    assert all(name in said.err for name in ("colour", "email_address", "phone_number"))


def test_set_without_redis(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """What is desired is kept, and it is said that nobody compares it yet."""
    said = seamkeeper("desired", "set", "u1", "full_name=Jack", REDIS_URL=NOBODY)

    assert said.code == 0
    assert "It is kept. Redis does not answer" in said.err
    assert wanted(engine, "u1") == {"full_name": "Jack"}


def test_import_keeps_the_good_rows(seamkeeper: Seamkeeper, engine: Engine, redis: Redis, tmp_path: Path) -> None:
    """Bad ones are listed with line and reason; exit 3."""
    file = tmp_path / "people.csv"
    file.write_text("acs_user_id,full_name,phone_number\nu1,Jack,\nu2,Jane,5550100\n,Jo,\nu4,Ann,+15555550100\n")

    said = seamkeeper("desired", "import", str(file))

    assert (said.code, said.out) == (3, "")
    assert said.err.splitlines() == [
        "people.csv:3: phone_number must be in E.164 form, such as +15555550100",
        "people.csv:4: acs_user_id is missing",
        "2 users set, 2 rows refused.",
    ]
    assert wanted(engine, "u1") == {"full_name": "Jack"}
    assert wanted(engine, "u2") == {}
    assert wanted(engine, "u4") == {"full_name": "Ann", "phone_number": "+15555550100"}
    assert asked(redis) == 2


def test_import_of_one_user_twice(seamkeeper: Seamkeeper, engine: Engine, redis: Redis, tmp_path: Path) -> None:
    """The rows are put over each other, and that is said; the user is asked for once."""
    rows = [
        {"acs_user_id": "u1", "full_name": "Jack", "access_schedule": SCHEDULE},
        {"acs_user_id": "u1", "full_name": "Jane", "email_address": "jane@example.com"},
    ]
    file = tmp_path / "people.json"
    file.write_text(json.dumps(rows))

    said = seamkeeper("desired", "import", str(file))

    assert said.code == 0
    assert "people.json:2: u1 once more; this row is put over the earlier one" in said.err
    assert wanted(engine, "u1") == {
        "full_name": "Jane", "email_address": "jane@example.com", "access_schedule": SCHEDULE,
    }  # fmt: skip
    assert asked(redis) == 1


def test_a_dry_run_keeps_nothing(seamkeeper: Seamkeeper, engine: Engine, redis: Redis, tmp_path: Path) -> None:
    """It tells what would be."""
    file = tmp_path / "people.csv"
    file.write_text("acs_user_id,full_name\nu1,Jack\n,Jo\n")

    said = seamkeeper("desired", "import", "--dry-run", str(file))

    assert said.code == 3
    assert "1 users would be set, 1 rows refused." in said.err
    assert wanted(engine, "u1") == {}
    assert asked(redis) == 0


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("p.csv", b"", "is empty", id="empty"),
        pytest.param("p.json", b"[{", "is not JSON", id="broken-json"),
        pytest.param("p.csv", b"acs_user_id,full_name\nu1,J\xf6rg\n", "is not UTF-8", id="not-utf-8"),
        pytest.param("nobody.csv", None, "does not exist", id="missing"),
    ],
)
def test_a_file_that_cannot_be_used(
    seamkeeper: Seamkeeper, tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    """Exit 2, with the reason."""
    if content is not None:
        (tmp_path / name).write_bytes(content)

    said = seamkeeper("desired", "import", str(tmp_path / name))

    assert said.code == 2
    assert reason in said.err


def test_a_hostile_file_does_not_drive_the_terminal(seamkeeper: Seamkeeper, tmp_path: Path) -> None:
    """Names of columns are text of strangers too."""
    file = tmp_path / "p\x1b[2Jq.csv"
    file.write_text("acs_user_id,\x1b]0;owned\x07\u202e\nu1,x\n")

    said = seamkeeper("desired", "import", str(file))

    assert said.code == 3
    assert not set("\x1b\x07\u202e") & set(said.err)


def test_adopt_takes_what_can_be_sent_back(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """The rest is listed, and stays unmanaged."""
    keep_user(engine, "u1", name="Jack Doe", email="jack@example.com", phone_number="+1******0100")

    said = seamkeeper("desired", "adopt", "u1")

    assert said.code == 0
    assert "u1: phone_number must be in E.164 form, such as +15555550100; it stays unmanaged" in said.err
    assert "1 of 1 users adopted." in said.err
    assert wanted(engine, "u1") == {"full_name": "Jack Doe", "email_address": "jack@example.com"}
    assert asked(redis) == 1


def test_adopt_all(seamkeeper: Seamkeeper, engine: Engine, redis: Redis) -> None:
    """Everybody who is there and was read."""
    for name in ("u1", "u2"):
        keep_user(engine, name)

    said = seamkeeper("desired", "adopt", "--all")

    assert said.code == 0
    assert "2 of 2 users adopted." in said.err
    assert asked(redis) == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["u1", "nobody"], 3, id="some"),
        pytest.param(["nobody"], 4, id="none"),
        pytest.param([], 2, id="no-id"),
        pytest.param(["u1", "--all"], 2, id="ids-and-all"),
    ],
)
def test_adopt_of_users_who_are_not_there(
    seamkeeper: Seamkeeper, engine: Engine, arguments: list[str], code: int
) -> None:
    """Partly 3, nobody at all 4; without a clear choice 2."""
    keep_user(engine, "u1")

    assert seamkeeper("desired", "adopt", *arguments).code == code


def test_adopt_all_of_nobody(seamkeeper: Seamkeeper) -> None:
    """Everybody, of whom there are none."""
    said = seamkeeper("desired", "adopt", "--all")

    assert (said.code, said.err) == (0, "0 of 0 users adopted.\n")


def test_show(seamkeeper: Seamkeeper) -> None:
    """As JSON and for people; "no schedule" is something else than a field that is not managed."""
    seamkeeper("desired", "set", "u1", "full_name=Jörg \u202e\U0001f600", "access_schedule=null")

    shown = seamkeeper("desired", "show", "u1", "--json")
    told = seamkeeper("desired", "show", "u1")

    assert shown.json == {"full_name": "Jörg \u202e\U0001f600", "access_schedule": None}
    assert "\u202e" not in shown.out
    assert "Jörg" in shown.out
    assert told.out == "full_name        Jörg \ufffd\U0001f600\naccess_schedule  null\n"


def test_remove(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """The user is not managed any more; a second time there is nothing: 4, as with `show`."""
    seamkeeper("desired", "set", "u1", "full_name=Jack")

    codes = [seamkeeper("desired", *each, "u1").code for each in (["remove"], ["remove"], ["show"], ["show", "--json"])]

    assert codes == [0, 4, 4, 4]
    assert wanted(engine, "u1") == {}
