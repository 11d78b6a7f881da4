"""`seamkeeper plan`: what would be written about whom, read from Seam now; nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console import plans
from console.cli import output
from console.cli.arguments import an_id, by_option
from console.cli.parts import open_database, open_queues
from console.cli.subjects import one_subject, wide_options
from console.plans import Planned
from seamkeeper import clock

if TYPE_CHECKING:
    from sqlalchemy import Engine

_NOBODY = "Seam has no such user (any more); `seamkeeper sync` marks who is gone"
_LATELY = timedelta(days=30)  # in which a value that moved is told with its time

timeout_option = click.option(
    "--timeout", "patience", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS", help="How long to wait for the next answer of the workers.",
)  # fmt: skip


@click.command("plan")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…")
@wide_options
@click.option("--last-known", is_flag=True, help="Plan from what was read last; nothing is asked of the workers.")
@click.option("--out", "file", type=click.Path(dir_okay=False, path_type=Path), help="Keep it for `apply`.")
@click.option("--detailed-exitcode", "is_detailed", is_flag=True, help="0 no change, 1 error, 2 changes.")
@timeout_option
@by_option
@output.json_option
def plan_command(
    acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, last_known: bool, file: Path | None,
    is_detailed: bool, patience: float, by: str, as_json: bool,
) -> int:  # fmt: skip
    """Read users at Seam and show what `apply` would write. With --system or --all: those of whom something is desired.

    The workers read; what SEAMKEEPER_REPAIR says does not matter: a plan never writes.
    """
    from seamkeeper import database, desired

    one_subject(acs_user_ids, acs_system_id, for_all)
    with open_database() as engine:
        chosen: Sequence[str] = list(dict.fromkeys(acs_user_ids))
        if not chosen:
            with database.reading(engine) as connection:
                chosen = desired.managed_ids(connection, acs_system_id=acs_system_id)
        found = make_plan(engine, chosen, by=by, patience=None if last_known else patience, is_named=bool(acs_user_ids))
        document = plans.as_json(found, by=by)
        if file:
            _write(file, document)
        if as_json:
            output.print_json(document)
        else:
            print_plan(engine, found)
            click.echo(summary(found) + (f" Saved to {output.printable(file)}." if file else ""))
    say_unread(found)
    return _exit_code(found, is_detailed=is_detailed)


def make_plan(
    engine: Engine, acs_user_ids: Sequence[str], *, by: str, patience: float | None, is_named: bool
) -> list[Planned]:
    """A plan of these users, read now, waiting `patience` seconds for each next answer; None plans without reading."""
    from seamkeeper import database, mirror

    unread = {} if patience is None else _read_now(engine, acs_user_ids, by=by, patience=patience)
    found = []
    with database.reading(engine) as connection:
        for acs_user_id in acs_user_ids:
            user = mirror.find_user(connection, acs_user_id)
            if user is not None and user["deleted_at"] and unread.get(acs_user_id) in (None, _NOBODY):
                found.append(plans.planned(user, is_named=is_named))
            elif acs_user_id in unread:
                found.append(Planned(acs_user_id, "unread", reason=unread[acs_user_id]))
            elif user is None:
                found.append(Planned(acs_user_id, "unread", reason="not known: never read, and nothing is desired"))
            else:
                found.append(plans.planned(user, is_named=is_named))
    return found


def _read_now(engine: Engine, acs_user_ids: Sequence[str], *, by: str, patience: float) -> dict[str, str]:
    """Lets the workers read, without a write; gives those who were not read, with the reason."""
    from console.cli.waiting import looks, say_no_worker, with_progress
    from seamkeeper import database, mirror
    from seamkeeper.orders import DRY

    with database.reading(engine) as connection:
        before = mirror.read_times(connection, acs_user_ids)
    with open_queues() as queues:
        asks = dict.fromkeys(acs_user_ids, DRY)
        over = looks(queues, asks, why=f"plan by {by}", patience=patience)
        answered = set(with_progress(over, total=len(asks), title="Reading"))
    with database.reading(engine) as connection:
        after = mirror.read_times(connection, acs_user_ids)
        stale = [name for name in acs_user_ids if after.get(name) == before.get(name)]
        reasons = {name: _why_unread(connection, name) if name in answered else "no answer" for name in stale}
    if silent := [name for name in stale if name not in answered]:
        say_no_worker(len(silent), patience)
    return reasons


def _why_unread(connection: Any, acs_user_id: str) -> str:
    """Of a look that is over and kept nothing: what the try says, or that there was nobody."""
    from seamkeeper import attempts

    tries = attempts.of(connection, acs_user_id=acs_user_id, limit=1)
    if tries and tries[0]["outcome"] != "ok":
        return str(tries[0]["reason"])
    return _NOBODY


def print_plan(engine: Engine, found: Sequence[Planned]) -> None:
    """Changes field by field, then who is blocked and why."""
    from seamkeeper import database

    with database.reading(engine) as connection:
        for each in found:
            if each.state == "change":
                click.echo(f"~ {_who(each)}")
                for line in _field_lines(connection, each):
                    click.echo(f"    {line}")
    for each in found:
        if each.state == "blocked":
            click.echo(f"! {_who(each)}\n    blocked: {output.printable(each.reason)}")


def summary(found: Sequence[Planned]) -> str:
    """The last line of a plan."""
    numbers = {state: sum(each.state == state for each in found) for state in {each.state for each in found}}
    changes, fields = numbers.get("change", 0), sum(len(each.fields) for each in found)
    words = [f"{changes:,} {'user' if changes == 1 else 'users'} to change"]
    words[0] += f" ({fields:,} {'field' if fields == 1 else 'fields'})" if changes else ""
    told = {"blocked": "blocked", "applying": "under way", "gone": "gone", "unmanaged": "not compared",
            "unread": "not read", "in_sync": "in sync"}  # fmt: skip
    words += [f"{numbers[state]:,} {word}" for state, word in told.items() if state in numbers]
    number = plans.calls(found)
    return f"Plan: {', '.join(words)}." + (f" About {number:,} API call{'s' * (number > 1)}." if number else "")


def say_unread(found: Sequence[Planned]) -> None:
    """Who could not be planned, on stderr."""
    for each in found:
        if each.state == "unread":
            output.say(f"? {each.acs_user_id}: not read: {each.reason}")


def field_words(name: str, observed: Any, desired: Any) -> list[str]:
    """`field "old" -> "new"`; a schedule end by end."""
    if isinstance(observed or desired, dict) and isinstance(observed, dict | None) and isinstance(desired, dict | None):
        ends = [end for end in ("starts_at", "ends_at") if (observed or {}).get(end) != (desired or {}).get(end)]
        return [f"{name}.{end:<9} {_value((observed or {}).get(end))} -> {_value((desired or {}).get(end))}"
                for end in ends]  # fmt: skip
    return [f"{name:<16} {_value(observed)} -> {_value(desired)}"]


def _field_lines(connection: Any, each: Planned) -> list[str]:
    from seamkeeper import history

    lines = []
    for name, values in each.fields.items():
        moved = history.moves(connection, each.acs_user_id, name, since=clock.now() - _LATELY)
        is_outside = moved and moved[-1]["who"] != "seamkeeper"
        note = f"  (changed outside, seen {output.local_time(moved[-1]['at'])})" if is_outside else ""
        words = field_words(name, values["observed"], values["desired"])
        lines += [*words[:-1], *(f"{word}{note}" for word in words[-1:])]
    if not each.fields:
        lines.append("the values sent last are sent again: the access system refused them")
    return lines + ([f"note: {output.printable(each.reason)}"] if each.reason else [])


def _who(each: Planned) -> str:
    return f"{output.printable(each.name or 'without a name')}  {each.acs_user_id}"


def _value(value: Any) -> str:
    return f'"{output.printable(value)}"' if isinstance(value, str) else "not set" if value is None else (
        output.printable({True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value)
    )  # fmt: skip


def _write(file: Path, document: dict[str, Any]) -> None:
    try:
        plans.write(file, document)
    except OSError as error:
        raise click.UsageError(f"{output.printable(file)} could not be written: {error.strerror}") from error


def _exit_code(found: Sequence[Planned], *, is_detailed: bool) -> int:
    """Terraform's with `--detailed-exitcode`; else 0, 3 when some were not read, 1 when nobody was."""
    unread = sum(each.state == "unread" for each in found)
    if is_detailed and not unread:
        return 2 if any(each.state == "change" for each in found) else 0
    if is_detailed or (unread and unread == len(found)):
        return 1
    return 3 if unread else 0
