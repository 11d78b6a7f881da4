"""`seamkeeper events`: what came, and what became of it."""

from __future__ import annotations

from typing import Any

import click

from console.cli import output
from console.cli.arguments import an_id
from console.cli.parts import open_database, open_queues
from seamkeeper import settings


@click.group("events")
def events_command() -> None:
    """The events that Seam sent."""


@events_command.command("list")
@click.option("--status", type=click.Choice(["running", "retrying", "done", "ignored", "quarantined", "dead"]))
@click.option("--type", "event_type", help="Such as acs_user.created.")
@click.option("--user", "acs_user_id", type=an_id, metavar="ID", help="An acs_user_id.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@output.json_option
def list_command(status: str | None, event_type: str | None, acs_user_id: str | None, limit: int, as_json: bool) -> int:
    """Events, newest first."""
    from seamkeeper import database, journal

    with open_database() as engine, database.reading(engine) as connection:
        found = journal.list_events(
            connection, status=status, event_type=event_type, acs_user_id=acs_user_id, limit=limit
        )
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (output.local_time(event["received_at"]), event["status"], event["event_type"], event["event_id"],
         event["reason"])
        for event in found
    ]  # fmt: skip
    titles = ("received", "status", "type", "event", "reason")
    output.print_table(titles, rows, empty="No event fits. Try: seamkeeper send acs_user.created", whole="event")
    return 0


@events_command.command("show")
@click.argument("event_id", type=an_id)
@output.json_option
def show_command(event_id: str, as_json: bool) -> int:
    """One event: status, every attempt, and the body as it was received."""
    from seamkeeper import database, journal

    told = settings.load()
    with open_database(told) as engine, database.reading(engine) as connection:
        found = journal.find_event(connection, event_id)
    found = found or _waiting(told, event_id)
    if found is None:
        click.echo(f"No event {event_id}. Events are kept for 30 days.", err=True)
        return 4
    if as_json:
        output.print_json(found)
        return 0
    output.print_fields({name: value for name, value in found.items() if name != "attempts"})
    rows = [
        (output.local_time(each["started_at"]), each["job"], each["outcome"], each["reason"])
        for each in found["attempts"]
    ]
    output.print_table(("attempt", "job", "outcome", "reason"), rows, empty="No attempt yet.")
    return 0


def _waiting(told: settings.Settings, event_id: str) -> dict[str, Any] | None:
    """An accepted event whose job waits: no worker has written its row yet."""
    from seamkeeper.accept import queued_event

    with open_queues(told) as queues:
        return queued_event(queues, event_id)
