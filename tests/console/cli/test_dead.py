"""`seamkeeper dead`: by cause first, with whether a replay can help; discarding is a decision that is kept."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select

from seamkeeper import dead
from seamkeeper.database import dead_letters

from .conftest import Seamkeeper


@pytest.fixture
def letters(engine: Engine) -> list[str]:
    """Two events that Seam refused alike, a user for whom it was silent."""
    with engine.begin() as connection:
        for number in (1, 2):
            subject = dead.Subject("event", f"e{number}", "handle_event", "acs_user.created", "u1", "s1")
            failure = dead.Failure("it \x1b[2J was refused", "seam:400:invalid_input", "phone_number", "req-1")
            dead.write(connection, subject, failure, tries=2)
        user = dead.Subject("user", "u2", "reconcile_user", acs_user_id="u2")
        dead.write(connection, user, dead.Failure("no answer", "seam:no_answer"), tries=7)
    return ["e1", "e2", "u2"]


def test_list(seamkeeper: Seamkeeper, letters: list[str]) -> None:
    """Causes with their numbers, then each line, newest first."""
    shown = seamkeeper("dead", "list", "--json").json
    of_one = seamkeeper("dead", "list", "--cause", "seam:no_answer", "--json").json

    assert [(each["cause"], each["field"], each["events"], each["users"]) for each in shown["causes"]] == [
        ("seam:400:invalid_input", "phone_number", 2, 1), ("seam:no_answer", None, 0, 1),
    ]  # fmt: skip
    assert [each["subject_id"] for each in shown["letters"]] == letters[::-1]
    assert set(shown["letters"][-1]) >= {"kind", "cause", "field", "reason", "tries", "first_at", "died_at",
                                         "seam_request_id"}  # fmt: skip
    assert shown["causes"][0]["first_at"].endswith("Z")
    assert [each["subject_id"] for each in of_one["letters"]] == ["u2"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_for_people(seamkeeper: Seamkeeper, letters: list[str]) -> None:
    """In words, without what would drive the terminal, and with what to do next."""
    told, nothing = seamkeeper("dead", "list"), seamkeeper("dead", "list", "--cause", "x")

    assert "replay helps only after that was mended" in told.out
    assert "once it answers again" in told.out
    assert "\x1b" not in told.out
    assert "seamkeeper replay --status dead --cause CAUSE" in told.err
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "Nothing is dead of x.\n")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_discard(seamkeeper: Seamkeeper, engine: Engine, letters: list[str]) -> None:
    """By id or cause; kept with who and why; nobody else is touched."""
    one = seamkeeper("dead", "discard", "e1", "--reason", "moved out", "--by", "Mina", "--yes")
    cause = seamkeeper("dead", "discard", "--cause", "seam:no_answer", "--reason", "old", "--by", "Mina", "--yes")
    again = seamkeeper("dead", "discard", "e1", "--reason", "moved out", "--yes")

    left = seamkeeper("dead", "list", "--json").json["letters"]
    with engine.connect() as connection:
        ended = dict(connection.execute(select(dead_letters.c.subject_id, dead_letters.c.ended_by)).all())
    assert (one.code, cause.code, again.code) == (0, 0, 4)
    assert [each["subject_id"] for each in left] == ["e2"]
    assert ended == {"e1": "discarded by Mina: moved out", "e2": None, "u2": "discarded by Mina: old"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["e1", "--yes"], "--reason", id="without-a-reason"),
        pytest.param(["--reason", "x", "--yes"], "Give ids, --cause or --all.", id="nothing"),
        pytest.param(["e1", "--all", "--reason", "x"], "Give ids, --cause or --all.", id="both"),
        pytest.param(["--all", "--reason", "x"], "needs --yes", id="nobody-to-ask"),
    ],
)
def test_what_cannot_be_meant(
    seamkeeper: Seamkeeper, letters: list[str], arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, and nothing is gone."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)

    said = seamkeeper("dead", "discard", *arguments)

    assert said.code == 2
    assert reason in said.err
    assert len(seamkeeper("dead", "list", "--json").json["letters"]) == 3
