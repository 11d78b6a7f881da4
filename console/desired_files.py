"""Desired state from the command line and from files: every row is good, or a reason."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from console import desired_input
from console.cli.arguments import is_id

Row = tuple[int, str, dict[str, Any]]
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SCHEDULE = ("access_schedule.starts_at", "access_schedule.ends_at")


class BadRow(Exception):
    """A row that cannot be used; `line` is its line in the file (in JSON the number of its object)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        self.line = line
        super().__init__(reason)


class BadFile(Exception):
    """A file of which no row can be used."""


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`field=value` as checked values. Raises `BadRow`."""
    flat: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise BadRow(f"{assignment!r} is not FIELD=VALUE")
        if name.strip() in flat:
            raise BadRow(f"{name.strip()} is given twice")
        flat[name.strip()] = value
    return _checked(flat)


def read_rows(file: Path) -> Iterator[Row | BadRow]:
    """(line, acs_user_id, values) or what is wrong, row by row. Raises `BadFile`."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadFile(f"is not UTF-8 ({error.reason} at byte {error.start}); save it as CSV UTF-8") from error
    for line, fields in _json_rows(text) if file.suffix.lower() == ".json" else _csv_rows(text):
        try:
            yield line, *_row(fields)
        except BadRow as error:
            yield BadRow(str(error), line)


def _csv_rows(text: str) -> Iterator[tuple[int, Any]]:
    """(line on which the row begins, its filled cells by column, or what is wrong with the row)."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            break
        except csv.Error as error:  # the reader goes on with the next line
            yield line, BadRow(f"cannot be read: {error}")
            continue
        if not any(cells):
            continue
        if columns:
            yield line, _cells(columns, cells)
        else:
            columns = _columns(cells)
    if not columns:
        raise BadFile("is empty")


def _columns(names: list[str]) -> list[str]:
    if "acs_user_id" not in names:
        raise BadFile("must begin with a line that names the columns, separated by commas, acs_user_id among them")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise BadFile(f"names a column twice: {', '.join(twice)}")
    return names


def _cells(columns: Sequence[str], cells: Sequence[str]) -> Any:
    if any(cells[len(columns) :]):
        return BadRow("has more cells than the first line names")
    filled = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    return BadRow("has a value in a column without a name") if "" in filled else filled


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise BadFile("must be a list of objects with an acs_user_id each")
    yield from enumerate(rows, start=1)


def _row(fields: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(fields, BadRow):
        raise fields
    if not isinstance(fields, Mapping):
        raise BadRow("is not an object")
    values = dict(fields)
    acs_user_id = values.pop("acs_user_id", None)
    if acs_user_id in (None, ""):
        raise BadRow("acs_user_id is missing")
    if not is_id(acs_user_id):
        raise BadRow("acs_user_id is no id (1 to 200 printable characters, no spaces)")
    return acs_user_id, _checked(values)


def _checked(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field, as they would be sent; a schedule may come as two fields, as JSON, or as null."""
    stripped = {name: value.strip() if isinstance(value, str) else value for name, value in flat.items()}
    values = {name: value for name, value in stripped.items() if name not in _SCHEDULE}
    ends = {name.partition(".")[2]: stripped[name] for name in _SCHEDULE if name in stripped}
    if ends and "access_schedule" in values:
        raise BadRow("access_schedule is given as a whole and by its ends; give one of the two")
    if ends:
        values["access_schedule"] = ends
    if isinstance(values.get("access_schedule"), str):
        values["access_schedule"] = _schedule(values["access_schedule"])
    if isinstance(values.get("is_suspended"), str):
        values["is_suspended"] = _WORDS.get(values["is_suspended"].lower(), values["is_suspended"])
    if not values:
        raise BadRow("names no field")
    wrong = desired_input.mistakes(values)
    if wrong:
        raise BadRow("; ".join(f"{name} {sentence}" for name, sentence in wrong.items()))
    return values


def _schedule(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadRow("access_schedule must be JSON with starts_at and ends_at, or null") from None
