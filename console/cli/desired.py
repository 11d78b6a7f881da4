"""`seamkeeper desired`: what the operator wants of each user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.cli import output
from console.cli.parts import open_database, open_queues
from console.desired_files import BadRow, parse_assignments, read_rows
from seamkeeper import settings

_WHY = "desired state set on the command line"


@click.group("desired")
def desired_command() -> None:
    """What you want of each user. A field without a value is not managed."""


@desired_command.command("set")
@click.argument("acs_user_id")
@click.argument("assignments", nargs=-1, required=True, metavar="FIELD=VALUE…")
def set_command(acs_user_id: str, assignments: tuple[str, ...]) -> int:
    """Set fields: full_name, email_address, phone_number, hid_acs_system_id, and access_schedule.starts_at with
    access_schedule.ends_at; `access_schedule=null` means "without a schedule". Other fields stay as they are."""
    try:
        values = parse_assignments(assignments)
    except BadRow as error:
        raise click.UsageError(str(error)) from error
    _keep({acs_user_id: values}, by="command line")
    click.echo(f"Set {', '.join(values)} of {acs_user_id}.", err=True)
    return 0


@desired_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only check the file.")
def import_command(file: Path, dry_run: bool) -> int:
    """Take desired state from FILE.csv (a header with acs_user_id and field names) or FILE.json (a list of objects).

    Bad rows are listed with line and reason; the good ones are kept, and the exit code is 3.
    """
    good: dict[str, dict[str, Any]] = {}
    bad: list[BadRow] = []
    try:
        for row in read_rows(file):
            if isinstance(row, BadRow):
                bad.append(row)
            else:
                good.setdefault(row[0], {}).update(row[1])
    except BadRow as error:
        raise click.UsageError(f"{file}: {error}") from error
    if not dry_run:
        _keep(good, by=f"import of {file.name}")
    for row in bad:
        click.echo(f"{file.name}:{row.line}: {row}", err=True)
    click.echo(f"{len(good)} users {'would be ' if dry_run else ''}set, {len(bad)} rows refused.", err=True)
    return 3 if bad else 0


@desired_command.command("adopt")
@click.argument("acs_user_ids", nargs=-1, metavar="[ID]…")
@click.option("--all", "all_users", is_flag=True, help="Every user who is there.")
def adopt_command(acs_user_ids: tuple[str, ...], all_users: bool) -> int:
    """Take the observed state as the desired one. What cannot be sent back as it is (a masked phone number, an open
    schedule) stays unmanaged, and is listed."""
    from seamkeeper import desired

    if all_users == bool(acs_user_ids):
        raise click.UsageError("Give ids, or --all.")
    with open_database() as engine:
        with engine.connect() as connection:
            chosen = desired.ids_to_adopt(connection) if all_users else list(acs_user_ids)
        missing = 0
        for acs_user_id in chosen:
            with engine.begin() as connection:
                adopted = desired.adopt(connection, acs_user_id, by="adopt")
            if adopted is None:
                missing += 1
                click.echo(f"{acs_user_id}: not known, or gone", err=True)
            for name, sentence in (adopted or {}).items():
                click.echo(f"{acs_user_id}: {name} {sentence}; it stays unmanaged", err=True)
    _ask(chosen)
    click.echo(f"{len(chosen) - missing} of {len(chosen)} users adopted.", err=True)
    return 3 if missing else 0


@desired_command.command("show")
@click.argument("acs_user_id")
@output.json_option
def show_command(acs_user_id: str, as_json: bool) -> int:
    """What is desired of one user."""
    from seamkeeper import database, desired

    with open_database() as engine, database.reading(engine) as connection:
        found = desired.desired_of(connection, acs_user_id)
    if not found:
        click.echo(f"Nothing is desired of {acs_user_id}: the user is not managed.", err=True)
        return 4
    if as_json:
        output.print_json(found)
    else:
        output.print_fields(found)
    return 0


@desired_command.command("remove")
@click.argument("acs_user_id")
def remove_command(acs_user_id: str) -> int:
    """Stop managing a user; nothing is changed at Seam."""
    from seamkeeper import desired

    with open_database() as engine, engine.begin() as connection:
        was_there = desired.forget_desired(connection, acs_user_id)
    click.echo("Not managed any more." if was_there else f"Nothing was desired of {acs_user_id}.", err=True)
    return 0 if was_there else 4


def _keep(values_by_user: dict[str, dict[str, Any]], *, by: str) -> None:
    from seamkeeper import desired

    with open_database() as engine, engine.begin() as connection:
        for acs_user_id, values in values_by_user.items():
            desired.set_desired(connection, acs_user_id, values, by=by)
    _ask(list(values_by_user))


def _ask(acs_user_ids: list[str]) -> None:
    """What is desired is compared now, not with the next event. Without Redis it is kept all the same, and said."""
    from redis.exceptions import RedisError

    try:
        with open_queues(settings.load()) as queues:
            for acs_user_id in acs_user_ids:
                queues.ask_reconcile(acs_user_id, why=_WHY, source="operator")
    except (RedisError, OSError):
        click.echo("Kept. Redis does not answer, so it is compared with the next event about the user.", err=True)
