"""Files of desired state: each row is good, or a reason on the right line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.desired_files import BadFile, BadRow, parse_assignments, read_rows

NO_ID = "{} is no id (1 to 200 printable characters, no spaces)"
PAST = "2020-01-01T00:00:00Z,2021-01-01T00:00:00Z"
OPEN = "access_schedule must hold starts_at and ends_at, or be null to remove the schedule"
SCHEDULE = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}


def read(folder: Path, text: str | bytes, name: str = "people.csv") -> list[Any]:
    """Good rows as they come, bad ones as (line, reason)."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(row.line, str(row)) if isinstance(row, BadRow) else row for row in read_rows(file)]


def test_an_empty_cell_is_not_managed(tmp_path: Path) -> None:
    """Only what is written is wanted; spaces around it do not count, and blank lines are no rows."""
    text = "acs_user_id, full_name ,email_address\nu1,Jack Doe,\n\n  u2 ,  ,jane@example.com\n,,\n"

    assert read(tmp_path, text) == [
        (2, "u1", {"full_name": "Jack Doe"}),
        (4, "u2", {"email_address": "jane@example.com"}),
    ]


def test_excel_puts_a_mark_before_the_first_column(tmp_path: Path) -> None:
    """A byte order mark is not part of the name of the column."""
    assert read(tmp_path, b"\xef\xbb\xbfacs_user_id,full_name\r\nu1,J\xc3\xb6rg\r\n") == [
        (2, "u1", {"full_name": "Jörg"})
    ]


def test_lines_are_counted_behind_quoted_newlines(tmp_path: Path) -> None:
    """A row is named by the line on which it begins; only real line ends end a line."""
    text = 'acs_user_id,full_name\nu1,"Jack\nvan\nDoe"\nu2,Jane\u2028Roe\nu3,\nu4,"Jo\n\nDoe"\nu5,"\n"\n'

    rows = read(tmp_path, text)

    assert rows[:2] == [(2, "u1", {"full_name": "Jack\nvan\nDoe"}), (5, "u2", {"full_name": "Jane\u2028Roe"})]
    assert rows[2:] == [(6, "names no field"), (7, "u4", {"full_name": "Jo\n\nDoe"}), (10, "names no field")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param(",Jack,,,", "acs_user_id is missing", id="nobody"),
        pytest.param("u 1,Jack,,,", NO_ID.format("acs_user_id"), id="no-id"),
        pytest.param(f"{'u' * 201},Jack,,,", NO_ID.format("acs_user_id"), id="long"),
        pytest.param("u1,,,,", "names no field", id="nothing"),
        pytest.param("u1,,0151 23456789,,", "phone_number must be in E.164 form, such as +15555550100", id="national"),
        pytest.param(f"u1,,,{PAST}", "access_schedule ends_at is in the past", id="past"),
        pytest.param("u1,,,2026-01-01T00:00:00Z,", OPEN, id="open"),
        pytest.param("u1,Jack,,,,more", "has more cells than the first line names", id="too-many"),
        pytest.param('u1,"Jack" Doe,,,', "cannot be read: ',' expected after '\"'", id="quotes"),
    ],
)  # fmt: skip
def test_a_bad_row_between_good_ones(tmp_path: Path, row: str, reason: str) -> None:
    """It is named with its line; its neighbours are used."""
    columns = "acs_user_id,full_name,phone_number,access_schedule.starts_at,access_schedule.ends_at"

    rows = read(tmp_path, f"{columns}\nu0,Ann,,,\n{row}\nu9,Bob,,,\n")

    assert rows == [(2, "u0", {"full_name": "Ann"}), (3, reason), (4, "u9", {"full_name": "Bob"})]


def test_a_quote_that_never_ends(tmp_path: Path) -> None:
    """The row on which it begins is bad; the rows before are used."""
    rows = read(tmp_path, 'acs_user_id,full_name\nu1,Jack\nu2,"Jane\nu3,Jo\n')

    assert rows == [(2, "u1", {"full_name": "Jack"}), (3, "cannot be read: unexpected end of data")]


def test_columns_nobody_knows(tmp_path: Path) -> None:
    """A value there makes the row bad, for it may be a slip (`phone`); without values the column is no matter."""
    rows = read(tmp_path, "acs_user_id,full_name,phone,\nu1,Jack,,\nu2,Jane,+15555550100,\nu3,Jo,,x\n")

    assert rows == [
        (2, "u1", {"full_name": "Jack"}),
        (3, "phone is not a field that can be managed"),
        (4, "has a value in a column without a name"),
    ]


def test_schedules_in_columns(tmp_path: Path) -> None:
    """As two ends, as JSON, or as null for none; not both ways at once."""
    columns = "acs_user_id,access_schedule,access_schedule.starts_at,access_schedule.ends_at"
    start, end = SCHEDULE.values()
    whole = f'"{{""starts_at"": ""{start}"", ""ends_at"": ""{end}""}}"'

    rows = read(tmp_path, f"{columns}\nu1,,{start}, {end}\nu2,{whole},,\nu3,null,,\nu4,null,{start},{end}\nu5,none,,\n")

    assert rows == [
        (2, "u1", {"access_schedule": SCHEDULE}),
        (3, "u2", {"access_schedule": SCHEDULE}),
        (4, "u3", {"access_schedule": None}),
        (5, "access_schedule is given as a whole and by its ends; give one of the two"),
        (6, "access_schedule must be JSON with starts_at and ends_at, or null"),
    ]


def test_json_rows(tmp_path: Path) -> None:
    """Objects are rows, numbered from one; anything else is a bad row."""
    text = """[{"acs_user_id": "u1", "full_name": "Jack", "access_schedule": null}, "u2", {"full_name": "Jo"},
      {"acs_user_id": 5, "full_name": "Jo"}, {"acs_user_id": "u5", "full_name": 5},
      {"acs_user_id": "u6", "full_name": "half \\ud800"}, {"acs_user_id": "u7", "hid_acs_system_id": "a b"}]"""

    assert read(tmp_path, text, "people.JSON") == [
        (1, "u1", {"full_name": "Jack", "access_schedule": None}),
        (2, "is not an object"),
        (3, "acs_user_id is missing"),
        (4, NO_ID.format("acs_user_id")),
        (5, "full_name must be a name, not empty"),
        (6, "full_name holds a NUL or half a character"),
        (7, NO_ID.format("hid_acs_system_id")),
    ]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        pytest.param("p.csv", b"", "is empty", id="empty"),
        pytest.param("p.csv", b"\n \n", "is empty", id="blank"),
        pytest.param("p.csv", b"user,name\nu1,Jack\n", "must begin with a line that names the columns", id="no-column"),
        pytest.param("p.csv", b"acs_user_id;full_name\nu1;Jack\n", "separated by commas", id="semicolons"),
        pytest.param("p.csv", b"acs_user_id,full_name,full_name\n", "names a column twice: full_name", id="twice"),
        pytest.param("p.csv", "acs_user_id,full_name\nu1,Jörg\n".encode("latin-1"), "is not UTF-8", id="latin-1"),
        pytest.param("p.json", b"", "is not JSON", id="empty-json"),
        pytest.param("p.json", b'[{"acs_user_id": ', "is not JSON", id="broken-json"),
        pytest.param("p.json", b"[" * 100_000, "is not JSON", id="deep-json"),
        pytest.param("p.json", b'{"acs_user_id": "u1"}', "must be a list of objects", id="object"),
    ],
)
def test_a_file_of_which_nothing_can_be_used(tmp_path: Path, name: str, text: bytes, reason: str) -> None:
    """It is refused as a whole, with the reason."""
    with pytest.raises(BadFile, match=reason):
        read(tmp_path, text, name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's own words are the reason."""
    with pytest.raises(BadFile, match="cannot be read: No such file"):
        list(read_rows(tmp_path / "nobody.csv"))


def test_assignments() -> None:
    """Fields as a person types them; an equals sign may be part of the value."""
    start, end = SCHEDULE.values()

    values = parse_assignments(
        ["full_name= Jack = Doe ", f"access_schedule.starts_at={start}", f"access_schedule.ends_at={end}"]
    )

    assert values == {"full_name": "Jack = Doe", "access_schedule": SCHEDULE}
    assert parse_assignments(["access_schedule=null"]) == {"access_schedule": None}


@pytest.mark.parametrize(
    ("assignments", "reason"),
    [
        pytest.param(["full_name"], "'full_name' is not FIELD=VALUE", id="no-value"),
        pytest.param(["=Jack"], " is not a field that can be managed", id="no-field"),
        pytest.param(["full_name="], "full_name must be a name, not empty", id="empty"),
        pytest.param(["full_name=A", "full_name=B"], "full_name is given twice", id="twice"),
        pytest.param(["nickname=Jack"], "nickname is not a field that can be managed", id="unknown"),
        pytest.param(["full_name=\udcff"], "full_name holds a NUL or half a character", id="not-utf-8"),
        pytest.param(["access_schedule=" + "[" * 100_000], "access_schedule must be JSON", id="deep"),
    ],
)
def test_assignments_that_cannot_be_meant(assignments: list[str], reason: str) -> None:
    """One sentence says why."""
    with pytest.raises(BadRow, match=reason):
        parse_assignments(assignments)
