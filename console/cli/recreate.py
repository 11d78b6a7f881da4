"""`seamkeeper recreate`: a person decides that a new user is made for one who is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from console.cli import output
from console.cli.arguments import an_id, by_option
from console.cli.parts import open_database
from console.cli.subjects import Subject, ask_again

if TYPE_CHECKING:
    from sqlalchemy import Engine


@click.command("recreate")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="Of the list.")
@by_option
@output.json_option
def recreate_command(acs_user_ids: tuple[str, ...], yes: bool, limit: int, by: str, as_json: bool) -> int:
    """Make a new user in place of each of these, who are gone and still desired. Without any: who waits for that."""
    if not acs_user_ids:
        return _list(limit, as_json=as_json)
    chosen = list(dict.fromkeys(acs_user_ids))
    people = "1 new user" if len(chosen) == 1 else f"{len(chosen)} new users"
    if not output.is_confirmed(f"Ask Seam for {people} in place of {', '.join(chosen)}?", yes=yes):
        output.say("Nothing was done.")
        return 1
    with open_database() as engine:
        approved = [acs_user_id for acs_user_id in chosen if _approve(engine, acs_user_id, by)]
    if approved:
        output.say(f"Approved: {', '.join(approved)}. The workers do it; `seamkeeper users show` tells how it ended.")
        ask_again([Subject("user", acs_user_id) for acs_user_id in approved], why=f"recreate approved by {by}")
    if len(approved) == len(chosen):
        return 0
    return 3 if approved else 1


def _approve(engine: Engine, acs_user_id: str, by: str) -> bool:
    from seamkeeper import recreations

    try:
        with engine.begin() as connection:
            recreations.approve(connection, acs_user_id, by=by)
    except ValueError as error:
        output.say(f"Refused: {error}.")
        return False
    return True


def _list(limit: int, *, as_json: bool) -> int:
    from seamkeeper import database, mirror, recreations

    with open_database() as engine, database.reading(engine) as connection:
        found = recreations.list_recreations(connection, state="asked", limit=limit)
        names = mirror.display_names(connection, [row["acs_user_id"] for row in found])
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (row["acs_user_id"], names.get(row["acs_user_id"]), output.local_time(row["asked_at"]), row["reason"])
        for row in found
    ]
    output.print_table(("user", "name", "since", "reason"), rows, empty="Nobody waits to be made anew.", whole="user")
    return 0
