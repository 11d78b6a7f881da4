"""About whom a command speaks: users, an access system, or all; and the look at them that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from console.cli.arguments import an_id
from console.cli.parts import open_database, open_queues
from seamkeeper import settings

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Subject:
    """As policies know it: `scope` is user, system or all; `subject_id` is empty for all."""

    scope: str
    subject_id: str = ""

    def in_words(self) -> str:
        """For people."""
        return {"user": self.subject_id, "system": f"access system {self.subject_id}"}.get(self.scope, "all")


def subject_options(command: _Command) -> _Command:
    """`--user`, `--system` and `--all`, for `one_subject`."""
    user = click.option("--user", "acs_user_ids", multiple=True, type=an_id, metavar="ID", help="An acs_user_id.")
    return user(wide_options(command))


def wide_options(command: _Command) -> _Command:
    """`--system` and `--all`, beside users given as arguments."""
    system = click.option("--system", "acs_system_id", type=an_id, metavar="ID", help="An acs_system_id.")
    return system(click.option("--all", "for_all", is_flag=True, help="Everybody.")(command))


def one_subject(acs_user_ids: Sequence[str], acs_system_id: str | None, for_all: bool) -> list[Subject]:
    """The users, or the access system, or all; never two of these at once."""
    if bool(acs_user_ids) + bool(acs_system_id) + for_all != 1:
        raise click.UsageError("Give users, --system or --all.")
    if for_all:
        return [Subject("all")]
    if acs_system_id:
        return [Subject("system", acs_system_id)]
    return [Subject("user", acs_user_id) for acs_user_id in dict.fromkeys(acs_user_ids)]


def ask_again(subjects: Sequence[Subject], *, why: str) -> None:
    """What was said is looked at now, not with the next event: users are read, systems looked through, and who waits
    for the end of a pause is read too. Without Redis it counts all the same, and that is said."""
    from redis.exceptions import RedisError

    from seamkeeper.queues import RESYNC_ALL, RESYNC_SYSTEM

    waiting = _paused_users(subjects)
    try:
        with open_queues(settings.load()) as queues:
            for each in subjects:
                if each.scope == "system":
                    queues.ask_resync(RESYNC_SYSTEM, each.subject_id, why=why)
                elif each.scope == "all":
                    queues.ask_resync(RESYNC_ALL, "all", why=why)
            for acs_user_id in [each.subject_id for each in subjects if each.scope == "user"] + waiting:
                queues.ask_reconcile(acs_user_id, why=why, source="operator")
    except (RedisError, OSError):
        click.echo("It counts. Redis does not answer, so it shows with the next event about each user.", err=True)


def _paused_users(subjects: Sequence[Subject]) -> list[str]:
    """Users of the access systems (or of all) whose repair waits for the end of a pause."""
    from seamkeeper import database, mirror

    found: list[str] = []
    with open_database() as engine, database.reading(engine) as connection:
        for each in subjects:
            system = each.subject_id or None
            last = "" if each.scope != "user" else None
            while last is not None:
                page = mirror.list_users(connection, sync="paused", acs_system_id=system, after=last, limit=1000)
                found += [user["acs_user_id"] for user in page]
                last = page[-1]["acs_user_id"] if len(page) == 1000 else None
    return found
