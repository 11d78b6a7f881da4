"""`seamkeeper pause` and `seamkeeper resume`: nothing is written about these users for a while, or a queue waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from console.cli import output
from console.cli.arguments import an_id, by_option, chosen_until, until_options
from console.cli.parts import open_database, open_queues
from console.cli.subjects import Subject, ask_again, one_subject, wide_options
from seamkeeper import clock, settings

# By name, without the module that knows them: `--help` is quick.
_QUEUES = ("events", "reconcile", "resync")


@click.command("pause")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…|QUEUE…")
@wide_options
@until_options
@click.option("--reason", metavar="WORDS", help="Shown wherever the pause is.")
@by_option
def pause_command(
    acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, duration: timedelta | None,
    until: datetime | None, reason: str | None, by: str,
) -> int:  # fmt: skip
    """Write nothing about users, an access system or all until then. They are read and compared all the same.

    Or let a queue wait (events, reconcile, resync) until it is resumed: what comes is accepted and kept.
    """
    from seamkeeper import policies

    if _are_queues(acs_user_ids):
        if acs_system_id or for_all or duration or until or reason:
            raise click.UsageError("A queue is paused until it is resumed: give its name alone.")
        return _pause_queues(acs_user_ids)
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
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[USER]…|QUEUE…")
@wide_options
@by_option
def resume_command(acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, by: str) -> int:
    """End a pause. Those who waited for it are read and repaired now, where policy allows; a queue goes on."""
    from seamkeeper import policies

    if _are_queues(acs_user_ids):
        if acs_system_id or for_all:
            raise click.UsageError("Give queues, or users, --system or --all.")
        return _resume_queues(acs_user_ids)
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


def _are_queues(names: Sequence[str]) -> bool:
    """True when queues are named, and nobody else."""
    queues = [name for name in names if name in _QUEUES]
    if queues and len(queues) < len(names):
        raise click.UsageError(f"{queues[0]} is a queue: name queues, or users, but not both.")
    return bool(queues)


def _pause_queues(names: Sequence[str]) -> int:
    with open_queues() as queues:
        for name in dict.fromkeys(names):
            is_new, waiting = queues.pause_queue(name), queues.redis.llen(queues.keys.queue(name))
            output.say(
                f"{'Paused' if is_new else 'Was paused already'}: the queue {name}, in which {waiting:,} jobs wait."
            )
    output.say("What runs ends; what comes is accepted and waits. A stock `rq worker` does not know of this.")
    return 0


def _resume_queues(names: Sequence[str]) -> int:
    with open_queues() as queues:
        resumed = [name for name in dict.fromkeys(names) if queues.resume_queue(name)]
        still = sorted(queues.paused_queues())
    for name in dict.fromkeys(names):
        output.say(f"{'Resumed' if name in resumed else 'Was not paused'}: the queue {name}.")
    if still:
        output.say(f"Still paused: {', '.join(still)}.")
    if len(resumed) == len(set(names)):
        return 0
    return 3 if resumed else 4


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
