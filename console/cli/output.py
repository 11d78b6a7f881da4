"""How commands print: JSON for programs, tables for people; data to stdout, everything else to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, and nothing else on stdout.")


def print_json(value: Any) -> None:
    """One JSON value; times are UTC."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A plain table that fits a terminal; `empty` says what to do when there is nothing."""
    lines = [[printable(cell) for cell in row] for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles, box=box.SIMPLE_HEAD, pad_edge=False)
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console(highlight=False).print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Name and value, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        shown = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else printable(value)
        click.echo(f"{name:<{width}}  {printable(shown)}")


def printable(value: Any) -> str:
    """As text without control characters: a name from a provider must not drive the terminal."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def local_time(stamp: str | None) -> str:
    """An instant of ours in the time of this machine, to the second."""
    if not stamp:
        return "-"
    return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
