"""`seamkeeper replay`: work through what came before once more. The plan first; the workers take the steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from console.cli.arguments import AT_LEAST_ONE, a_duration, an_id, an_instant, by_option
from console.cli.parts import open_database, open_queues
from seamkeeper import clock

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seamkeeper.queues import Queues
    from seamkeeper.replays import Chosen, Plan

_LOOK = 0.3  # seconds
_STATUSES = ("running", "retrying", "done", "ignored", "quarantined", "dead")


def a_past(value: str) -> datetime:
    """A time, or how long ago."""
    try:
        return clock.now() - a_duration(value)
    except click.BadParameter:
        return an_instant(value)


@click.command("replay")
@click.argument("ids", nargs=-1, type=an_id, metavar="[ID]…")
@click.option("--status", type=click.Choice(_STATUSES), help="With `dead` also dead users and jobs.")
@click.option("--type", "event_type", help="Such as acs_user.created.")
@click.option("--user", "acs_user_id", type=an_id, metavar="ID", help="An acs_user_id.")
@click.option("--cause", help="Such as seam:5xx (seamkeeper dead list). Of what is dead, unless --status says more.")
@click.option("--since", type=a_past, metavar="TIME", help="Received since then: a time, or 2h, 7d ago.")
@click.option("--until", type=a_past, metavar="TIME", help="Received until then; now by default.")
@click.option("--max", "at_most", type=AT_LEAST_ONE, metavar="N", help="No more than so many.")
@click.option("--rate", default=600, show_default=True, type=click.IntRange(1, 600_000), help="A minute, at most.")
@click.option("--dry-run", is_flag=True, help="Only the plan.")
@click.option("--resume", "resumed", type=int, metavar="REPLAY", help="Go on with one that was stopped.")
@click.option("--stop", "stopped", type=int, metavar="REPLAY", help="Stop one.")
@click.option("--list", "is_list", is_flag=True, help="Those there were, and how far they came.")
@click.option("--no-wait", is_flag=True, help="Leave it to the workers.")
@click.option(
    "--timeout", "patience", default=60.0, show_default=True, help="Seconds without progress until it is stopped."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@by_option
@output.json_option
def replay_command(
    ids: tuple[str, ...], resumed: int | None, stopped: int | None, is_list: bool, dry_run: bool, rate: int,
    no_wait: bool, patience: float, yes: bool, by: str, as_json: bool, **filters: Any,
) -> int:  # fmt: skip
    """Handle events of the past again, from the body as it was received; dead users and jobs are tried again.

    The users are read afresh, so a replay of what was handled well changes nothing. Live events go first.
    """
    if is_list:
        return _list(as_json=as_json)
    patience = 0 if no_wait else patience
    if stopped is not None:
        return _stop(stopped)
    with open_database() as engine, open_queues() as queues:
        if resumed is not None:
            return _resume(engine, queues, resumed, patience=patience, as_json=as_json)
        chosen = _chosen(ids, filters)
        found = _plan(engine, queues, chosen)
        if dry_run or not as_json or not found.eligible:
            _print_plan(found, rate=rate, as_json=as_json)
        if dry_run or not found.eligible:
            return 0 if found.matched else 4
        if not output.is_confirmed(f"Replay {found.eligible:,}?", yes=yes):
            output.say("Nothing was replayed.")
            return 1
        return _start(engine, queues, chosen, found, rate=rate, by=by, patience=patience, as_json=as_json)


def _chosen(ids: tuple[str, ...], filters: dict[str, Any]) -> Chosen:
    from seamkeeper.replays import Chosen, until_now

    said = [name for name in ("status", "event_type", "acs_user_id", "cause", "since", "until") if filters[name]]
    if bool(ids) == bool(said):
        raise click.UsageError("Give ids, or what they have in common: --status, --type, --user, --cause, --since.")
    if filters["cause"] and not filters["status"]:
        filters["status"] = "dead"
    return until_now(Chosen(ids=tuple(dict.fromkeys(ids)), **filters))


def _plan(engine: Engine, queues: Queues, chosen: Chosen) -> Plan:
    from seamkeeper import database, replays
    from seamkeeper.requeue import Requeue

    with database.reading(engine) as connection:
        return replays.plan(connection, Requeue(queues), chosen)


def _print_plan(found: Plan, *, rate: int, as_json: bool) -> None:
    if as_json:
        output.print_json(
            {"matched": found.matched, "eligible": found.eligible, "not_eligible": dict(found.why_not),
             "api_calls": found.users, "api_calls_at_most": found.reads_at_most}
        )  # fmt: skip
        return
    click.echo(f"{found.matched:,} match, {found.eligible:,} can be replayed.")
    for why, number in sorted(found.why_not.items(), key=lambda each: -each[1]):
        click.echo(f"  {number:,} not: {why}")
    if not found.eligible:
        return
    more = f", at most {found.reads_at_most:,}" if found.reads_at_most > found.users else ""
    minutes = found.eligible / rate
    lasts = f"{minutes:,.0f} min" if minutes >= 2 else f"{max(minutes * 60, 1):,.0f} s"
    click.echo(f"About {found.users:,} API calls (each user is read once{more}), and the repairs of what drifted.")
    click.echo(f"About {lasts} at {rate:,} a minute.")


def _start(
    engine: Engine, queues: Queues, chosen: Chosen, found: Plan, *, rate: int, by: str, patience: float, as_json: bool
) -> int:
    from seamkeeper import replays

    with engine.begin() as connection:
        replay_id = replays.start(connection, chosen, found, rate=rate, by=by)
    queues.ask_replay(replay_id)
    return _follow(engine, replay_id, patience=patience, as_json=as_json)


def _resume(engine: Engine, queues: Queues, replay_id: int, *, patience: float, as_json: bool) -> int:
    """Also one that says it runs: its next step may have been lost, and to ask twice is to ask once."""
    from seamkeeper import replays

    with engine.begin() as connection:
        replays.resume(connection, replay_id)
        row = replays.find(connection, replay_id)
    if row is None or row["state"] != "running":
        output.say(f"There is no replay {replay_id}." if row is None else f"Replay {replay_id} is done.")
        return 4
    queues.ask_replay(replay_id)
    return _follow(engine, replay_id, patience=patience, as_json=as_json)


def _stop(replay_id: int) -> int:
    from seamkeeper import replays

    with open_database() as engine, engine.begin() as connection:
        is_stopped = replays.stop(connection, replay_id)
    output.say(_how_to_go_on(replay_id) if is_stopped else f"No replay {replay_id} runs.")
    return 0 if is_stopped else 4


def _follow(engine: Engine, replay_id: int, *, patience: float, as_json: bool) -> int:
    """Until it is done; Ctrl-C stops it, and so does a silence of the workers."""
    from seamkeeper import database, replays

    if not patience:
        output.say(f"Replay {replay_id} is left to the workers. Look: seamkeeper replay --list")
        return 0
    try:
        for row in _progress(engine, replay_id, patience):
            _show(row)
    except KeyboardInterrupt:
        _stop_quietly(engine, replay_id)
        return 130
    finally:
        if sys.stderr.isatty():
            click.echo(err=True)
    with database.reading(engine) as connection:
        row = replays.find(connection, replay_id) or {}
    if row["state"] == "running":
        output.say(f"No progress within {patience:g} s. Does a worker run? Is the queue resync paused?")
        _stop_quietly(engine, replay_id)
        return 1
    if as_json:
        output.print_json(row)
    if row["state"] == "stopped":
        output.say(_how_to_go_on(replay_id))
        return 3
    skipped = f", {row['skipped']:,} passed over" if row["skipped"] else ""
    output.say(f"Replay {replay_id}: {row['done']:,} are in their queues again or done{skipped}.")
    return 0


def _progress(engine: Engine, replay_id: int, patience: float) -> Iterator[dict[str, Any]]:
    """Its row as it moves; ends when it is over, or when it did not move for so long."""
    from seamkeeper import database, replays

    last, moved_at = time.monotonic(), None
    while True:
        with database.reading(engine) as connection:
            row = replays.find(connection, replay_id)
        if row is None or row["state"] != "running":
            return
        if row["moved_at"] != moved_at:
            last, moved_at = time.monotonic(), row["moved_at"]
            yield row
        elif time.monotonic() - last > max(patience, 180 / row["rate"]):  # a slow one moves once in a minute
            return
        time.sleep(_LOOK)


def _show(row: dict[str, Any]) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{row['done']:,} of {row['eligible']:,}", err=True, nl=False)


def _stop_quietly(engine: Engine, replay_id: int) -> None:
    from seamkeeper import replays

    with engine.begin() as connection:
        replays.stop(connection, replay_id)
    output.say(_how_to_go_on(replay_id))


def _how_to_go_on(replay_id: int) -> str:
    return f"Stopped. Go on: seamkeeper replay --resume {replay_id}"


def _list(*, as_json: bool) -> int:
    from seamkeeper import database, replays

    with open_database() as engine, database.reading(engine) as connection:
        found = replays.list_replays(connection)
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (each["replay_id"], output.local_time(each["asked_at"]), each["asked_by"], each["state"],
         f"{each['done']:,} of {each['eligible']:,}", each["skipped"], _in_words(each["chosen"]))
        for each in found
    ]  # fmt: skip
    titles = ("replay", "asked", "by", "state", "done", "passed over", "chosen")
    output.print_table(titles, rows, empty="There was no replay.", whole="replay")
    return 0


def _in_words(chosen: dict[str, Any]) -> str:
    words = [f"{len(value)} ids" if name == "ids" else f"{name} {value}" for name, value in chosen.items()]
    return ", ".join(words)
