"""Desired state from the command line and from files: every row is good, or a reason."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seamkeeper import clock, users

Row = tuple[str, dict[str, Any]]
_SCHEDULE = ("access_schedule.starts_at", "access_schedule.ends_at")


class BadRow(Exception):
    """A row that cannot be used; `line` is its line in the file (in JSON the number of its object)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        self.line = line
        super().__init__(reason)


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """`field=value` as checked values. Raises `BadRow`."""
    flat: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise BadRow(f"{assignment!r} is not FIELD=VALUE")
        flat[name.strip()] = value
    return _checked(flat)


def read_rows(file: Path) -> Iterator[Row | BadRow]:
    """(acs_user_id, values) or what is wrong, row by row. Raises `BadRow` when the file as a whole cannot be read."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRow(f"cannot be read as UTF-8: {error}") from error
    for line, fields in _json_rows(text) if file.suffix.lower() == ".json" else _csv_rows(text):
        try:
            yield _row(fields)
        except BadRow as error:
            yield BadRow(str(error), line)


def _csv_rows(text: str) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        if "acs_user_id" not in (reader.fieldnames or ()):
            raise BadRow("the first line must name the columns, acs_user_id among them")
        for fields in reader:
            if None in fields:
                yield reader.line_num, BadRow("has more cells than the first line names")
            else:
                yield reader.line_num, {name: cell for name, cell in fields.items() if cell not in (None, "")}
    except csv.Error as error:
        raise BadRow(f"line {reader.line_num}: {error}") from error


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise BadRow("must be a list of objects with an acs_user_id each")
    yield from enumerate(rows, start=1)


def _row(fields: Any) -> Row:
    if isinstance(fields, BadRow):
        raise fields
    if not isinstance(fields, Mapping):
        raise BadRow("is not an object")
    values = dict(fields)
    acs_user_id = values.pop("acs_user_id", None)
    if not isinstance(acs_user_id, str) or not acs_user_id.strip() or len(acs_user_id) > 200:
        raise BadRow("acs_user_id is missing")
    return acs_user_id.strip(), _checked(values)


def _checked(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field, as they would be sent; a schedule may come as two fields, as JSON, or as null."""
    values = {name: value for name, value in flat.items() if name not in _SCHEDULE}
    ends = {name.partition(".")[2]: flat[name] for name in _SCHEDULE if name in flat}
    if ends:
        values["access_schedule"] = ends
    schedule = values.get("access_schedule")
    if isinstance(schedule, str):
        try:
            values["access_schedule"] = json.loads(schedule)
        except ValueError:
            raise BadRow("access_schedule must be JSON with starts_at and ends_at, or null") from None
    values = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
    if not values:
        raise BadRow("names no field")
    if wrong := users.mistakes(values, at=clock.now()):
        raise BadRow("; ".join(f"{name} {sentence}" for name, sentence in wrong.items()))
    return values
