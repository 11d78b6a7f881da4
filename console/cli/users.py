"""`seamkeeper users`: the people, as last read and as desired."""

from __future__ import annotations

from typing import Any

import click

from console.cli import output
from console.cli.arguments import an_id
from console.cli.parts import open_database
from seamkeeper import settings


@click.group("users")
def users_command() -> None:
    """The people in your access systems."""


@users_command.command("list")
@click.option("--sync", type=click.Choice(["in_sync", "drifted", "applying", "paused", "unknown"]))
@click.option("--health", type=click.Choice(["ok", "warning", "error", "deleted"]))
@click.option("--system", "acs_system_id", type=an_id, metavar="ID", help="An acs_system_id.")
@click.option("--search", help="Part of an id, a name or an e-mail address.")
@click.option("--after", default="", help="Go on behind this acs_user_id.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@output.json_option
def list_command(
    sync: str | None, health: str | None, acs_system_id: str | None, search: str | None, after: str, limit: int,
    as_json: bool,
) -> int:  # fmt: skip
    """Users by id, a page at a time."""
    from seamkeeper import database, mirror

    with open_database() as engine, database.reading(engine) as connection:
        found = mirror.list_users(
            connection, sync=sync, health=health, acs_system_id=acs_system_id, search=search, after=after, limit=limit
        )
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (user["acs_user_id"], user["display_name"], user["sync"], user["health"], ", ".join(user["drift"] or ()))
        for user in found
    ]
    titles = ("user", "name", "sync", "health", "drifted fields")
    output.print_table(titles, rows, empty="No user fits. Users appear with the first event about them.", whole="user")
    if len(found) == limit:
        output.say(f"More: --after {found[-1]['acs_user_id']}")
    return 0


@users_command.command("show")
@click.argument("acs_user_id", type=an_id)
@output.json_option
def show_command(acs_user_id: str, as_json: bool) -> int:
    """One user: observed, desired, drift, issues, and the policy that counts."""
    from console.cli.policy import effective_policy
    from seamkeeper import database, history, mirror

    told = settings.load()
    with open_database(told) as engine, database.reading(engine) as connection:
        found = mirror.find_user(connection, acs_user_id)
        lines = history.history(connection, acs_user_id, limit=10)
        policy = effective_policy(connection, acs_user_id, told)
    if found is None:
        click.echo(f"No user {acs_user_id}: no event about them came yet, and nothing is desired of them.", err=True)
        return 4
    if as_json:
        output.print_json(found | {"policy": policy})
        return 0
    _print_user(found, policy)
    titles = ("when", "what", "source", "detail")
    rows = [(output.local_time(line["at"]), line["what"], line["source"], line["detail"]) for line in lines]
    output.print_table(titles, rows, empty="No history yet.")
    return 0


def _print_user(found: dict[str, Any], policy: dict[str, Any]) -> None:
    """The fields, the policy in words, and the issues one a line."""
    from console.cli.policy import in_words

    issues = found["issues"]
    fields = {name: value for name, value in found.items() if name != "issues"}
    output.print_fields(fields | in_words(policy) | ({} if issues else {"issues": "none"}))
    if issues:
        rows = [
            (issue["issue_id"], output.local_time(issue["first_seen_at"]), issue["state"], issue["code"],
             issue["message"])
            for issue in issues
        ]  # fmt: skip
        output.print_table(("issue", "since", "state", "code", "message"), rows, empty="", whole="issue")
