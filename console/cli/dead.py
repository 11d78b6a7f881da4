"""`seamkeeper dead`: what will not be tried again without a person, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from console.cli import output
from console.cli.arguments import an_id, by_option
from console.cli.parts import open_database


@click.group("dead")
def dead_command() -> None:
    """What will not be tried again without a person."""


@dead_command.command("list")
@click.option("--cause", help="Such as seam:400:invalid_input.")
@click.option("--before", type=int, metavar="ID", help="The next page: the last dead_id of this one.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@output.json_option
def list_command(cause: str | None, before: int | None, limit: int, as_json: bool) -> int:
    """By cause, and whether a replay can help; then each of them, newest first."""
    from seamkeeper import database, dead

    with open_database() as engine, database.reading(engine) as connection:
        groups = dead.groups(connection, cause=cause)
        letters = dead.list_open(connection, cause=cause, before=before, limit=limit)
    if as_json:
        output.print_json({"causes": groups, "letters": letters})
        return 0
    if not letters:
        output.say("Nothing is dead." if cause is None else f"Nothing is dead of {cause}.")
        return 0
    _print_groups(groups)
    _print_letters(letters)
    output.say("Try them again: seamkeeper replay --status dead --cause CAUSE")
    return 0


@dead_command.command("discard")
@click.argument("subjects", nargs=-1, type=an_id, metavar="[ID]…")
@click.option("--cause", help="All of this cause.")
@click.option("--all", "everything", is_flag=True, help="All there are.")
@click.option("--reason", required=True, metavar="WORDS", help="Kept with them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@by_option
def discard_command(
    subjects: tuple[str, ...], cause: str | None, everything: bool, reason: str, yes: bool, by: str
) -> int:
    """Take them off the list: of events, users or jobs by id, of a cause, or all. The lines are kept, with who and why.

    Nothing else changes: a new event about a user is handled as ever.
    """
    from seamkeeper import database, dead

    if sum((bool(subjects), cause is not None, everything)) != 1:
        raise click.UsageError("Give ids, --cause or --all.")
    with open_database() as engine:
        with database.reading(engine) as connection:
            number = dead.count_open(connection, cause=cause, ids=subjects)
        if not number:
            output.say("None of that is dead.")
            return 4
        if not yes and not _is_typed(number):
            output.say("Nothing was discarded.")
            return 1
        with engine.begin() as connection:
            gone = dead.discard(connection, by=by, reason=reason, cause=cause, ids=subjects)
    output.say(f"Discarded: {gone:,}.")
    return 0


def _is_typed(number: int) -> bool:
    """A number is not typed by accident."""
    if not sys.stdin.isatty():
        raise click.UsageError("This needs --yes where nobody can be asked.")
    typed = click.prompt(f"Type {number} to discard {number:,} dead letters", default="", show_default=False, err=True)
    return str(typed).strip() == str(number)


def _print_groups(groups: Sequence[dict[str, Any]]) -> None:
    rows = [
        (each["cause"], each["field"], each["number"], each["events"], each["users"],
         output.local_time(each["first_at"]), output.local_time(each["last_at"]), each["can_help"])
        for each in groups
    ]  # fmt: skip
    titles = ("cause", "field", "dead", "events", "users", "first", "last", "can a replay help")
    output.print_table(titles, rows, empty="", whole="cause")


def _print_letters(letters: Sequence[dict[str, Any]]) -> None:
    rows = [
        (output.local_time(each["died_at"]), each["kind"], each["subject_id"], each["cause"], each["tries"],
         each["reason"])
        for each in letters
    ]  # fmt: skip
    output.print_table(("died", "kind", "id", "cause", "tries", "reason"), rows, empty="", whole="id")
