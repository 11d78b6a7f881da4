"""`seamkeeper backfill`: fetch the events that no delivery brought."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from console.cli.arguments import a_moment, by_option
from console.cli.parts import open_database, open_queues
from seamkeeper import clock

if TYPE_CHECKING:
    from sqlalchemy import Engine

_LOOK = 0.3  # seconds
_PATIENCE = 60.0
_FIRST = timedelta(hours=24)


@click.command("backfill")
@click.option("--since", type=a_moment, help="A time, or so long ago: 2h, 3d. Default: 24 h ago.")
@click.option("--until", type=a_moment, help="The same; default: now.")
@click.option("--dry-run", is_flag=True, help="Count what is missing; queue nothing.")
@output.json_option
@by_option
def backfill_command(since: datetime | None, until: datetime | None, dry_run: bool, as_json: bool, by: str) -> int:
    """Ask Seam for the events of a span, and queue those that we do not have. Safe to repeat: what was handled is
    skipped. It happens by itself every few minutes; this is for a span further back. The workers do it."""
    from seamkeeper import spans

    at = clock.now()
    since, until = since or at - _FIRST, min(until or at, at)
    if since >= until:
        raise click.UsageError("--since must be earlier than --until, and than now.")
    with open_database() as engine, open_queues() as queues:
        with engine.begin() as connection:
            name = spans.begin(connection, since, until, is_dry=dry_run, by=by)
        spans.ask(queues, name)
        try:
            span = _watch(engine, name, since, until)
        except KeyboardInterrupt:
            with engine.begin() as connection:
                spans.keep(connection, name, (spans.find(connection, name) or {}) | {"state": "stopped"})
            output.say("Stopped. What was queued is handled; the same command goes on with the rest.")
            return 130
    if span is None:
        output.say(f"Nothing moved for {_PATIENCE:g} s. Does a worker run, and does Seam answer? It goes on by itself.")
        return 5
    if as_json:
        output.print_json(span)
    elif span["state"] == "done":
        _tell(span)
    if span["state"] == "failed":
        output.say(f"It failed at {span['place']}: {span['reason']}. The same command begins again.")
        return 1
    return 0


def _watch(engine: Engine, name: str, since: datetime, until: datetime) -> dict[str, Any] | None:
    """Until it is done, or failed; None when nothing moves any more."""
    from seamkeeper import database, spans

    last, moved_at = "", time.monotonic()
    with _progress(since, until) as show:
        while True:
            with database.reading(engine) as connection:
                span = spans.find(connection, name) or {}
            show(span)
            if span.get("state") in ("done", "failed"):
                return span
            if span.get("place") != last:
                last, moved_at = str(span.get("place")), time.monotonic()
            elif time.monotonic() - moved_at > _PATIENCE:
                return None
            time.sleep(_LOOK)


@contextlib.contextmanager
def _progress(since: datetime, until: datetime) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar over the span where somebody looks; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _span: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Asking Seam", total=(until - since).total_seconds())

        def show(span: dict[str, Any]) -> None:
            done = (clock.parse(span["place"]) - since).total_seconds() if "place" in span else 0
            words = f"Asking Seam: {span.get('listed', 0)} events, {span.get('brought', 0)} new"
            progress.update(task, completed=done, description=words)

        yield show


def _tell(span: dict[str, Any]) -> None:
    listed, brought, calls = span.get("listed", 0), span.get("brought", 0), span.get("calls", 0)
    what = "would be queued" if span["is_dry"] else "were missing and are queued"
    output.say(
        f"{listed} events at Seam, {brought} of them {what}; {calls} call{'s' if calls != 1 else ''} of Seam's API."
    )
