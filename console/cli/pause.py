"""`seamkeeper pause` and `seamkeeper resume`: nothing is written about these users for a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from console.cli import output
from console.cli.arguments import an_id, by_option, chosen_until, until_options
from console.cli.parts import open_database
from console.cli.subjects import Subject, ask_again, one_subject, wide_options
from seamkeeper import clock, settings

# By name, without the module that knows them: `--help` is quick.
_QUEUES = ("events", "reconcile", "resync")


@click.command("pause")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…")
@wide_options
@until_options
@click.option("--reason", metavar="WORDS", help="Shown wherever the pause is.")
@by_option
def pause_command(
    acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, duration: timedelta | None,
    until: datetime | None, reason: str | None, by: str,
) -> int:  # fmt: skip
    """Write nothing about users, an access system or all until then. They are read and compared all the same."""
    from seamkeeper import policies

    _no_queues(acs_user_ids, "suspend")
    subjects, at = one_subject(acs_user_ids, acs_system_id, for_all), chosen_until(duration, until)
    with open_database() as engine, engine.begin() as connection:
        for each in subjects:
            policies.set_policy(
                connection, each.scope, each.subject_id, by=by, paused_until=at, reason=reason or f"by {by}"
            )
    names = ", ".join(each.in_words() for each in subjects)
    output.say(f"Paused until {output.local_time(at.isoformat())}: {names}.")
    ask_again([each for each in subjects if each.scope == "user"], why=f"paused by {by}")
    return 0


@click.command("resume")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…")
@wide_options
@by_option
def resume_command(acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, by: str) -> int:
    """End a pause. Those who waited for it are read and repaired now, where policy allows."""
    from seamkeeper import policies

    _no_queues(acs_user_ids, "resume")
    subjects = one_subject(acs_user_ids, acs_system_id, for_all)
    with open_database() as engine, engine.begin() as connection:
        resumed = [each for each in subjects if policies.end_pause(connection, each.scope, each.subject_id, by=by)]
    for each in subjects:
        output.say(f"{'Resumed' if each in resumed else 'Was not paused'}: {each.in_words()}.")
    _say_who_is_still_paused(resumed)
    ask_again(resumed, why=f"resumed by {by}")
    if len(resumed) == len(subjects):
        return 0
    return 3 if resumed else 4


def _no_queues(names: Sequence[str], command: str) -> None:
    for name in names:
        if name in _QUEUES:
            raise click.UsageError(
                f"{name} is a queue; users, access systems and all can be paused. RQ's own `rq {command}` is for the "
                "workers of all queues at once."
            )


def _say_who_is_still_paused(resumed: Sequence[Subject]) -> None:
    """A wider pause holds on: who ended the near one should hear it now."""
    from console.cli.policy import effective_policy, in_words
    from seamkeeper import database

    told = settings.load()
    with open_database(told) as engine, database.reading(engine) as connection:
        for each in resumed:
            if each.scope != "user":
                continue
            found = effective_policy(connection, each.subject_id, told)
            if found["paused_until"] and clock.parse(found["paused_until"]) > clock.now():
                output.say(f"Still {in_words(found)['repair']}: {each.subject_id}.")
