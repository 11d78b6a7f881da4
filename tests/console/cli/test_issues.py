"""`seamkeeper issues`: what needs attention, who takes care of it, and the facts of a finding."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from seamkeeper import database, issues
from tests.console.web.conftest import keep_user

from .conftest import Seamkeeper

REFUSED = {"error_code": "failed_to_update_on_acs_system", "message": "no", "created_at": "2026-01-01T00:00:00Z"}
HOSTILE = "\x1b[2J\x9b31m\u202eJack"


def find(engine: Engine, code: str = "another_writer", acs_user_id: str | None = "u1", **more: object) -> int:
    """A finding of ours; gives its number."""
    with engine.begin() as connection:
        issues.raise_finding(
            connection, code, acs_user_id=acs_user_id, acs_system_id="s1", message="a person decides", **more
        )
        return max(issue["issue_id"] for issue in issues.list_issues(connection))


def state(engine: Engine, number: int) -> str:
    """`open`, `acknowledged`, `snoozed` or `cleared`."""
    with database.reading(engine) as connection:
        found = issues.find_issue(connection, number)
    assert found is not None
    return str(found["state"])


def test_what_somebody_takes_care_of_is_not_listed(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Nor what is put off, nor what is over; each has its list."""
    numbers = [find(engine, acs_user_id=f"u{n}") for n in range(4)]
    with engine.begin() as connection:
        issues.clear_finding(connection, "another_writer", acs_user_id="u3")

    done = [
        seamkeeper("issues", "acknowledge", str(numbers[1]), "--by", "Mina"),
        seamkeeper("issues", "snooze", str(numbers[2]), "--for", "24h"),
    ]

    listed = {
        options: [issue["issue_id"] for issue in seamkeeper("issues", "list", *options, "--json").json]
        for options in ((), ("--all",), ("--cleared",))
    }
    assert [(said.code, said.out) for said in done] == [(0, ""), (0, "")]
    assert listed == {(): numbers[:1], ("--all",): numbers[2::-1], ("--cleared",): numbers[3:]}
    shown = seamkeeper("issues", "show", str(numbers[1]), "--json").json
    assert (shown["state"], shown["acknowledged_by"], shown["snoozed_until"]) == ("acknowledged", "Mina", None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_lists(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """By code and access system, a page at a time; people read names."""
    keep_user(engine, "u1", name="Jack Doe", health="error", errors=[REFUSED])
    of_system = find(engine, "circuit_open", acs_user_id=None)
    second = find(engine, "cannot_be_set", "u2")

    page = seamkeeper("issues", "list", "--limit", "1")
    rest = seamkeeper("issues", "list", "--before", str(second), "--json").json
    coded = seamkeeper("issues", "list", "--code", "failed_to_update_on_acs_system", "--json").json
    elsewhere = seamkeeper("issues", "list", "--system", "elsewhere", "--json")
    table = seamkeeper("issues", "list").out

    assert f"More: --before {second}" in page.err
    assert rest[0]["issue_id"] == of_system
    assert [issue["acs_user_id"] for issue in coded] == ["u1"]
    assert (elsewhere.code, elsewhere.json) == (0, [])
    assert all(word in table for word in ("Jack Doe", "system s1", "u2", "circuit_open"))
    assert set(coded[0]) >= {"issue_id", "kind", "code", "state", "message", "first_seen_at", "last_seen_at"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_needs_attention(seamkeeper: Seamkeeper) -> None:
    """Exit 0, and a word on stderr."""
    said = seamkeeper("issues", "list")

    assert (said.code, said.out, said.err) == (0, "", "Nothing needs attention.\n")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_moved_when(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """A person who decides sees the moves one a line, what the code means, and what is desired."""
    keep_user(engine, "u1", name="Jack Doe")
    moves = [
        {"at": "2026-11-22T08:30:00.000000Z", "who": "seamkeeper"},
        {"at": "2026-11-22T08:40:00.000000Z", "who": "another writer"},
    ]
    number = find(engine, detail={"fields": {"phone_number": {"desired": "+15555550100", "moves": moves}}})

    told = seamkeeper("issues", "show", str(number)).out
    shown = seamkeeper("issues", "show", str(number), "--json").json

    assert "somebody else writes it too" in told
    assert "phone_number: desired +15555550100" in told
    lines = told.rstrip().splitlines()[-2:]
    assert [line.rstrip().split("  ")[-1].strip() for line in lines] == ["seamkeeper", "another writer"]
    assert shown["detail"]["fields"]["phone_number"]["moves"] == moves


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "detail",
    [None, "words", {"missing": 12, "held": 20}, {"fields": {"full_name": "x"}}, {"fields": ["full_name"]}],
    ids=["none", "text", "facts", "a-field-as-text", "fields-as-list"],
)
def test_any_detail_can_be_shown(seamkeeper: Seamkeeper, engine: Engine, detail: object) -> None:
    """Findings of other parts have facts of their own."""
    number = find(engine, detail=detail)

    said = seamkeeper("issues", "show", str(number))

    assert said.code == 0
    assert "a person decides" in said.out


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_words_of_strangers(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Codes, messages and values do not drive the terminal."""
    keep_user(engine, "u1", name=HOSTILE, errors=[{"error_code": HOSTILE, "message": HOSTILE, "created_at": HOSTILE}])
    number = find(engine, detail={"fields": {HOSTILE: {"desired": HOSTILE}}})

    told = [seamkeeper("issues", "list"), seamkeeper("issues", "show", "1"), seamkeeper("issues", "show", str(number))]

    for said in told:
        assert said.code == 0
        assert all(character == "\n" or character.isprintable() for character in said.out)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("command", [["acknowledge"], ["snooze", "--for", "1h"]], ids=["acknowledge", "snooze"])
def test_those_that_are_not_open(seamkeeper: Seamkeeper, engine: Engine, command: list[str]) -> None:
    """Partly 3, none 4; each is named."""
    number = find(engine)

    some = seamkeeper("issues", *command, str(number), "999")
    none = seamkeeper("issues", *command, "999")

    assert (some.code, none.code) == (3, 4)
    assert "No open issue 999." in some.err
    assert state(engine, number) in ("acknowledged", "snoozed")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["snooze", "1"], "Give --for or --until.", id="no-time"),
        pytest.param(["snooze", "1", "--for", "1h", "--until", "2099-01-01T00:00Z"], "--for or --until", id="both"),
        pytest.param(["snooze", "1", "--for", "soon"], "'soon' is no duration", id="no-duration"),
        pytest.param(["snooze", "1", "--for", "999999w"], "longer than time", id="for-ever"),
        pytest.param(["snooze", "1", "--until", "2020-01-01T00:00Z"], "in the past", id="past"),
        pytest.param(["snooze", "1", "--until", "tomorrow"], "'tomorrow' is no time", id="no-time-at-all"),
        pytest.param(["acknowledge", "x"], "'x' is not a valid integer", id="no-number"),
        pytest.param(["acknowledge"], "Missing argument", id="nothing"),
        pytest.param(["list", "--all", "--cleared"], "--all or --cleared", id="two-lists"),
    ],
)
def test_what_cannot_be_meant(seamkeeper: Seamkeeper, engine: Engine, arguments: list[str], reason: str) -> None:
    """Exit 2, with the reason; nothing is changed."""
    number = find(engine)

    said = seamkeeper("issues", *arguments)

    assert said.code == 2
    assert reason in said.err
    assert state(engine, number) == "open"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_issue_that_is_not_there(seamkeeper: Seamkeeper) -> None:
    """Exit 4, nothing on stdout."""
    said = seamkeeper("issues", "show", "7", "--json")

    assert (said.code, said.out, said.err) == (4, "", "No issue 7.\n")


def test_an_issue_of_our_webhook_is_nobodys(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Neither a user's nor an access system's."""
    with engine.begin() as connection:
        issues.raise_finding(connection, "webhook_missing", message="No webhook at Seam has our address")

    listed, shown = seamkeeper("issues", "list"), seamkeeper("issues", "show", "1")

    assert "this deployment" in listed.out
    assert "None" not in listed.out + shown.out
