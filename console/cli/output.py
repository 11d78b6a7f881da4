"""How commands print: JSON for programs, tables for people; data to stdout, everything else to stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

_ONE_LINE_EACH = 100_000  # columns for a program that reads a table: nothing is folded, so `grep` finds it
_NOT_ASCII = re.compile(r"[^\n -~]")

json_option = click.option("--json", "as_json", is_flag=True, help="JSON, and nothing else on stdout.")


def print_json(value: Any) -> None:
    """One JSON value; times are UTC. What would drive a terminal (C1 controls, bidi marks) stands there escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(_NOT_ASCII.sub(_escaped, text).encode())


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, whole: str = "") -> None:
    """A plain table, folded where a terminal needs it, but for the column `whole`, which a person copies; `empty` says
    what to do when there is nothing."""
    lines = [[printable(cell) for cell in row] for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title == whole)
    for line in lines:
        table.add_row(*(Text(cell) for cell in line))
    Console(highlight=False, width=None if sys.stdout.isatty() else _ONE_LINE_EACH).print(table)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Name and value, one a line."""
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:<{width}}  {printable(value)}")


def is_confirmed(question: str, *, yes: bool) -> bool:
    """Asks on a terminal; elsewhere nobody could answer."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("This needs --yes where nobody can be asked.")
    return click.confirm(printable(question), err=True)


def say(sentence: str) -> None:
    """To stderr, without control characters of a file or a provider."""
    click.echo(printable(sentence), err=True)


def printable(value: Any) -> str:
    """As one line of text without control characters: a name from a provider must not drive the terminal."""
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)
    text = "-" if value is None or value == "" else str(value)
    return "".join(map(_safe, text))


def local_time(stamp: str | None) -> str:
    """An instant of ours in the time of this machine, to the second."""
    if not stamp:
        return "-"
    return datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _safe(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\ufffd"


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]
