"""`seamkeeper sync`: read users again now, and tell how far that is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from console.cli.arguments import an_id
from console.cli.following import Awaited, Seen, follow
from console.cli.parts import open_database, open_queues

if TYPE_CHECKING:
    from seamkeeper.queues import Queues

_WHY = "sync on the command line"
_LINE_EVERY = 5.0  # seconds, where no terminal shows a bar
_GOES_ON = "The work goes on in the workers; `seamkeeper sync` with the same words waits for it again."


@click.command("sync")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…")
@click.option(
    "--system", "acs_system_ids", multiple=True, type=an_id, metavar="ID", help="All users of an access system."
)
@click.option("--all", "everything", is_flag=True, help="All users of all access systems that Seam shows us.")
@click.option("--full", "is_full", is_flag=True, help="With --system: also who does not differ and is managed.")
@click.option(
    "--accept-missing", is_flag=True, help="With --system: who is missing was deleted, however many they are."
)
@click.option("--no-wait", is_flag=True, help="Ask, and do not wait until it is done.")
@click.option(
    "--timeout", "patience", default=120.0, show_default=True, type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS", help="Without anything that moves.",
)  # fmt: skip
@output.json_option
def sync_command(
    acs_user_ids: tuple[str, ...], acs_system_ids: tuple[str, ...], everything: bool, is_full: bool,
    accept_missing: bool, no_wait: bool, patience: float, as_json: bool,
) -> int:  # fmt: skip
    """Ask for users to be read again, and repaired where policy allows. The workers do it."""
    if not (acs_user_ids or acs_system_ids or everything):
        raise click.UsageError("Give ids, --system or --all.")
    if (is_full or accept_missing) and not acs_system_ids:
        raise click.UsageError("--full and --accept-missing are about access systems that are named: give --system.")
    said = f"Asked for {_what(len(set(acs_user_ids)), len(set(acs_system_ids)), everything)}."
    wishes = {"is_full": is_full, "accepts_missing": accept_missing}
    with open_queues() as queues:
        if no_wait:
            _ask(queues, acs_user_ids, acs_system_ids, everything, wishes)
            return _end(said, {"users": sorted(set(acs_user_ids)), "systems": sorted(set(acs_system_ids))}, as_json)
        queues.redis.ping()  # without it the database need not be there
        with open_database() as engine:
            awaited = Awaited(frozenset(acs_user_ids), {}, _passes(engine))
            all_job = _ask(queues, acs_user_ids, acs_system_ids, everything, wishes)
            passes = {name: awaited.before.get(name, 0) + 1 for name in acs_system_ids}
            awaited = Awaited(awaited.users, passes, awaited.before, all_job)
            try:
                output.say(said)
                last = _shown(follow(engine, queues, awaited, patience=patience))
            except KeyboardInterrupt:
                output.say(_GOES_ON)
                return 130
    return _outcome(last, sorted(awaited.users), patience, as_json)


def _ask(
    queues: Queues, acs_user_ids: Iterable[str], acs_system_ids: Iterable[str], everything: bool,
    wishes: dict[str, bool],
) -> str | None:  # fmt: skip
    """Gives the job that finds out which systems `all` are."""
    from seamkeeper import resyncs
    from seamkeeper.queues import RESYNC_ALL

    for acs_user_id in dict.fromkeys(acs_user_ids):
        queues.ask_reconcile(acs_user_id, why=_WHY, source="operator")
    for acs_system_id in dict.fromkeys(acs_system_ids):
        resyncs.ask(queues, acs_system_id, why=_WHY, **wishes)
    return queues.ask_resync(RESYNC_ALL, "all", why=_WHY) if everything else None


def _passes(engine: Any) -> dict[str, int]:
    from seamkeeper import database, resyncs

    with database.reading(engine) as connection:
        return {each.acs_system_id: each.number for each in resyncs.rhythms(connection)}


def _shown(found: Iterable[Seen]) -> Seen:
    """The last moment, the others shown: as a bar where somebody looks, else as a line now and then."""
    if sys.stderr.isatty():
        return _with_bar(found)
    began = said_at = time.monotonic()
    seen, words = Seen(), ""
    for seen in found:
        if time.monotonic() - said_at > _LINE_EVERY or (seen.is_over and seen.systems):
            said_at, before, words = time.monotonic(), words, _line(seen, time.monotonic() - began)
            if words != before:
                output.say(words)
    return seen


def _with_bar(found: Iterable[Seen]) -> Seen:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    began, seen = time.monotonic(), Seen()
    columns = (BarColumn(bar_width=20), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("…", total=None)
        for seen in found:
            words = _line(seen, time.monotonic() - began)
            progress.update(task, description=words, completed=seen.listed, total=seen.about or None)
    if seen.systems:
        output.say(_line(seen, time.monotonic() - began))
    return seen


def _line(seen: Seen, seconds: float) -> str:
    """Such as `1,500 of about 10,000 users listed, 3 pages, 480 a second, about 18 s left; 12 looks to come`."""
    looks = "" if not seen.looks else "1 look to come" if seen.looks == 1 else f"{seen.looks:,} looks to come"
    if not seen.systems:
        return looks or "Waiting for the list of access systems"
    rate = seen.listed / seconds if seconds > 0 else 0.0
    words = [f"{seen.listed:,} of about {seen.about:,} users listed", f"{seen.pages:,} pages"]
    if rate >= 1:
        words.append(f"{rate:,.0f} a second")
    if seen.open_passes and rate >= 1:
        words.append(f"about {max(seen.about - seen.listed, 0) / rate:,.0f} s left")
    return ", ".join(words) + (f"; {looks}" if looks else "")


def _outcome(seen: Seen, acs_user_ids: list[str], patience: float, as_json: bool) -> int:
    """0 when all of it is done and well, 3 when some of it is, 1 when none is."""
    if as_json:
        found = {"is_over": seen.is_over, "looks_left": seen.looks, "users": acs_user_ids}
        output.print_json(found | {"systems": [each.as_json() for each in seen.systems]})
    bad = [each for each in seen.systems if each.trouble or each.outcome not in ("ok", None)]
    for each in bad:
        output.say(f"{each.acs_system_id}: {_trouble(each)}")
    if not seen.is_over:
        output.say(f"Nothing moved for {patience:g} s. Does a worker run? Is it busy: --timeout. {_GOES_ON}")
        return 1
    if bad:
        return 1 if len(bad) == len(seen.systems) and not acs_user_ids else 3
    for each in seen.systems:
        if each.listed == 0:
            output.say(f"{each.acs_system_id}: Seam lists nobody there. Is the id right?")
    output.say("Done.")
    return 0


def _trouble(rhythm: Any) -> str:
    if rhythm.outcome == "too_many_missing":
        return (
            "many users are missing from Seam's list: nothing was done. Were they deleted on purpose: --accept-missing"
        )
    return rhythm.trouble or "failed"


def _end(said: str, found: dict[str, Any], as_json: bool) -> int:
    output.say(said)
    if as_json:
        output.print_json(found)
    return 0


def _what(users: int, systems: int, everything: bool) -> str:
    counted = [(users, "user"), (systems, "access system")]
    words = [f"{number} {name}{'s' if number > 1 else ''}" for number, name in counted if number]
    return " and ".join([*words, *(["all access systems"] if everything else [])])
