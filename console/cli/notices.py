"""`seamkeeper notices`: what people were told outside of the console, and a try of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from console.cli.parts import open_database, open_queues
from seamkeeper import settings
from seamkeeper.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LOOK = 0.2  # seconds


@click.group("notices")
def notices_command() -> None:
    """What people were told outside of the console."""


@notices_command.command("list")
@click.option("--state", type=click.Choice(["waiting", "sending", "sent", "dead"]))
@click.option("--before", type=click.IntRange(1), metavar="NUMBER", help="The next page: the last notice_id seen.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@output.json_option
def list_command(state: str | None, before: int | None, limit: int, as_json: bool) -> int:
    """Notices, newest first."""
    from seamkeeper import database, notices

    with open_database() as engine, database.reading(engine) as connection:
        found = notices.list_notices(connection, state=state, before=before, limit=limit)
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (each["notice_id"], output.local_time(each["made_at"]), each["state"], each["title"], each["reason"])
        for each in found
    ]
    empty = "No notice. SEAMKEEPER_NOTIFY says who is told; try: seamkeeper notices test"
    output.print_table(("number", "made", "state", "title", "reason"), rows, empty=empty)
    return 0


@notices_command.command("test")
@click.option("--wait", default=30.0, show_default=True, type=click.FloatRange(0), help="Seconds to wait for the end.")
def test_command(wait: float) -> int:
    """Tell everybody in SEAMKEEPER_NOTIFY that this is a test. The workers do it, with their own settings."""
    from seamkeeper import clock, notices

    told = settings.load()
    if not told.notify:
        raise ConfigurationError(["SEAMKEEPER_NOTIFY is not set: nobody would be told. See docs/notices.md."])
    name, title = f"test:{clock.iso(clock.now())}", "a test"
    with open_database(told) as engine, open_queues(told) as queues:
        with engine.begin() as connection:
            notices.write(connection, name, title=title, body="Notices of this deployment arrive here.")
        queues.ask_notice(name, {}, delay=None)
        found = _end_of(engine, name, wait)
    if found["state"] == "sent":
        click.echo("Sent.", err=True)
        return 0
    where = "; it is tried again" if found["state"] != "dead" else ""
    output.say(f"Not sent: {found['reason']}{where}." if found["reason"] else _nobody(wait))
    return 1


def _nobody(wait: float) -> str:
    return f"No worker has taken it within {wait:g} s: does one run? It waits, and is sent then."


def _end_of(engine: Engine, name: str, wait: float) -> dict[str, Any]:
    """The notice when it was sent or failed for the first time, or as it is when the time is over."""
    from seamkeeper import database, notices

    deadline = time.monotonic() + wait
    while True:
        with database.reading(engine) as connection:
            found = notices.find(connection, name) or {"state": "waiting", "reason": None}
        if found["state"] in ("sent", "dead") or found["reason"] or time.monotonic() >= deadline:
            return found
        time.sleep(_LOOK)
