"""`seamkeeper desired`: what the operator wants of each user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from console.cli.arguments import an_id
from console.cli.parts import open_database, open_queues
from console.desired_files import BadFile, BadRow, parse_assignments, read_rows
from seamkeeper import settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

_WHY = "desired state set on the command line"


@click.group("desired")
def desired_command() -> None:
    """What you want of each user. A field without a value is not managed."""


@desired_command.command("set")
@click.argument("acs_user_id", type=an_id)
@click.argument("assignments", nargs=-1, required=True, metavar="FIELD=VALUE…")
def set_command(acs_user_id: str, assignments: tuple[str, ...]) -> int:
    """Set fields: full_name, email_address, phone_number, hid_acs_system_id, is_suspended (true or false), and
    access_schedule.starts_at with access_schedule.ends_at; `access_schedule=null` means "without a schedule". Other
    fields stay as they are."""
    try:
        values = parse_assignments(assignments)
    except BadRow as error:
        raise click.UsageError(str(error)) from error
    _keep({acs_user_id: values}, by="command line")
    output.say(f"Set {', '.join(values)} of {acs_user_id}.")
    _ask([acs_user_id])
    return 0


@desired_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check the file.")
def import_command(file: Path, dry_run: bool) -> int:
    """Take desired state from FILE.csv (a header with acs_user_id and field names) or FILE.json (a list of objects).

    An empty cell is not managed. Bad rows are listed with line (in JSON: number) and reason; the good ones are kept,
    and the exit code is 3. Of two rows about one user, the later one wins where both name a field.
    """
    try:
        rows = list(read_rows(file))
    except BadFile as error:
        raise click.UsageError(f"{file} {error}") from error
    good: dict[str, dict[str, Any]] = {}
    for row in rows:
        if isinstance(row, BadRow):
            output.say(f"{file.name}:{row.line}: {row}")
            continue
        line, acs_user_id, values = row
        if acs_user_id in good:
            output.say(f"{file.name}:{line}: {acs_user_id} once more; this row is put over the earlier one")
        good.setdefault(acs_user_id, {}).update(values)
    bad = sum(isinstance(row, BadRow) for row in rows)
    if not dry_run:
        _keep(good, by=f"import of {output.printable(file.name)}")
    click.echo(f"{len(good)} users {'would be ' if dry_run else ''}set, {bad} rows refused.", err=True)
    if not dry_run:
        _ask(list(good))
    return 3 if bad else 0


@desired_command.command("adopt")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[ID]…")
@click.option("--all", "all_users", is_flag=True, help="Every user who is there.")
def adopt_command(acs_user_ids: tuple[str, ...], all_users: bool) -> int:
    """Take the observed state as the desired one. What cannot be sent back as it is (a masked phone number, an open
    schedule) stays unmanaged, and is listed."""
    from seamkeeper import database, desired

    if all_users == bool(acs_user_ids):
        raise click.UsageError("Give ids, or --all.")
    with open_database() as engine:
        with database.reading(engine) as connection:
            chosen = desired.ids_to_adopt(connection) if all_users else list(dict.fromkeys(acs_user_ids))
        adopted = [acs_user_id for acs_user_id in chosen if _adopt(engine, acs_user_id)]
    click.echo(f"{len(adopted)} of {len(chosen)} users adopted.", err=True)
    _ask(adopted)
    if len(adopted) == len(chosen):
        return 0
    return 3 if adopted else 4


@desired_command.command("show")
@click.argument("acs_user_id", type=an_id)
@output.json_option
def show_command(acs_user_id: str, as_json: bool) -> int:
    """What is desired of one user."""
    from seamkeeper import database, desired

    with open_database() as engine, database.reading(engine) as connection:
        found = desired.desired_of(connection, acs_user_id)
    if not found:
        output.say(f"Nothing is desired of {acs_user_id}: the user is not managed.")
        return 4
    if as_json:
        output.print_json(found)
    else:
        output.print_fields({name: "null" if value is None else value for name, value in found.items()})
    return 0


@desired_command.command("remove")
@click.argument("acs_user_id", type=an_id)
def remove_command(acs_user_id: str) -> int:
    """Stop managing a user; nothing is changed at Seam."""
    from seamkeeper import desired

    with open_database() as engine, engine.begin() as connection:
        was_there = desired.forget_desired(connection, acs_user_id)
    output.say("Not managed any more." if was_there else f"Nothing was desired of {acs_user_id}.")
    return 0 if was_there else 4


def _keep(values_by_user: dict[str, dict[str, Any]], *, by: str) -> None:
    from seamkeeper import desired

    with open_database() as engine, engine.begin() as connection:
        for acs_user_id, values in values_by_user.items():
            desired.set_desired(connection, acs_user_id, values, by=by)


def _adopt(engine: Engine, acs_user_id: str) -> bool:
    """False when there is no such user to take anything from."""
    from seamkeeper import desired

    with engine.begin() as connection:
        unmanaged = desired.adopt(connection, acs_user_id, by="adopt")
    if unmanaged is None:
        output.say(f"{acs_user_id}: not known, never read, or gone")
    for name, sentence in (unmanaged or {}).items():
        output.say(f"{acs_user_id}: {name} {sentence}; it stays unmanaged")
    return unmanaged is not None


def _ask(acs_user_ids: list[str]) -> None:
    """What is desired is compared now, not with the next event. Without Redis it is kept all the same, and said."""
    from redis.exceptions import RedisError

    try:
        with open_queues(settings.load()) as queues:
            for acs_user_id in acs_user_ids:
                queues.ask_reconcile(acs_user_id, why=_WHY, source="operator")
    except (RedisError, OSError):
        click.echo("It is kept. Redis does not answer, so it is compared with the next event about the user.", err=True)
