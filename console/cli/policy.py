"""`seamkeeper policy`: what may be done to whom."""

from __future__ import annotations

from typing import Any

import click

from console.cli import output
from console.cli.arguments import an_id, by_option
from console.cli.parts import open_database
from console.cli.subjects import Subject, ask_again, one_subject, subject_options
from seamkeeper import clock, settings
from seamkeeper.settings import Settings


@click.group("policy")
def policy_command() -> None:
    """What may be done to whom. The nearest word counts: the user's, then the access system's, then that for all, then
    the settings."""


@policy_command.command("list")
@output.json_option
def list_command(as_json: bool) -> int:
    """Everything that differs from the settings, the widest first."""
    from seamkeeper import database, policies

    with open_database() as engine, database.reading(engine) as connection:
        found = policies.list_policies(connection)
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (row["scope"], row["subject_id"], row["repair"], row["recreate"], _pause_of(row), row["updated_by"])
        for row in found
    ]
    titles = ("scope", "id", "repair", "recreate", "paused until", "by")
    output.print_table(titles, rows, empty="The settings count for all.", whole="id")
    return 0


@policy_command.command("show")
@click.argument("acs_user_id", type=an_id)
@output.json_option
def show_command(acs_user_id: str, as_json: bool) -> int:
    """What counts for one user now, and who said so: user, system, all or settings."""
    from seamkeeper import database

    told = settings.load()
    with open_database(told) as engine, database.reading(engine) as connection:
        found = effective_policy(connection, acs_user_id, told)
    if as_json:
        output.print_json(found)
    else:
        output.print_fields(in_words(found))
    return 0


@policy_command.command("set")
@subject_options
@click.option("--repair", type=click.Choice(["apply", "plan", "off"]))
@click.option("--recreate", type=click.Choice(["never", "ask", "auto"]))
@by_option
def set_command(
    acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, repair: str | None, recreate: str | None,
    by: str,
) -> int:  # fmt: skip
    """Say it for a user, an access system or all; what is not named stays as it was. Compared anew at once."""
    from seamkeeper import policies

    subjects = one_subject(acs_user_ids, acs_system_id, for_all)
    if not (repair or recreate):
        raise click.UsageError("Give --repair, --recreate or both.")
    with open_database() as engine, engine.begin() as connection:
        for each in subjects:
            policies.set_policy(connection, each.scope, each.subject_id, by=by, repair=repair, recreate=recreate)
    said = [f"{name} {word}" for name, word in (("repair", repair), ("recreate", recreate)) if word]
    output.say(f"{' and '.join(said).capitalize()} for {', '.join(each.in_words() for each in subjects)}.")
    ask_again(subjects, why=f"policy set by {by}")
    return 0


@policy_command.command("clear")
@subject_options
@by_option
def clear_command(acs_user_ids: tuple[str, ...], acs_system_id: str | None, for_all: bool, by: str) -> int:
    """Say nothing of its own any more: the next wider word counts. A pause is ended by `resume`, never by this."""
    from seamkeeper import policies

    subjects = one_subject(acs_user_ids, acs_system_id, for_all)
    with open_database() as engine, engine.begin() as connection:
        paused = _paused_now(policies.list_policies(connection))
        for each in subjects:
            if each in paused:
                raise click.UsageError(f"{each.in_words()} is paused: `seamkeeper resume` first.")
        cleared = [each for each in subjects if policies.forget_policy(connection, each.scope, each.subject_id)]
    for each in subjects:
        output.say(f"{'Cleared' if each in cleared else 'Nothing was said'} for {each.in_words()}.")
    ask_again(cleared, why=f"policy cleared by {by}")
    if len(cleared) == len(subjects):
        return 0
    return 3 if cleared else 4


def effective_policy(connection: Any, acs_user_id: str, told: Settings) -> dict[str, Any]:
    """What counts for a user now, as JSON."""
    from dataclasses import asdict

    from seamkeeper import mirror, policies
    from seamkeeper.database import plain

    user = mirror.find_user(connection, acs_user_id) or {}
    found = policies.policy_of(
        connection, acs_user_id, user.get("acs_system_id"), repair=told.repair, recreate=told.recreate, at=clock.now()
    )
    return {name: plain(value) for name, value in asdict(found).items()}


def in_words(found: dict[str, Any]) -> dict[str, str]:
    """An effective policy for people: one line for repairing, one for recreating."""
    words = f"{found['repair']}, said for {_said_by(found['repair_by'])}"
    if found["paused_until"]:
        words = f"paused until {output.local_time(found['paused_until'])}, said for {_said_by(found['repair_by'])}"
        words += f": {found['reason']}" if found["reason"] else ""
    return {"repair": words, "recreate": f"{found['recreate']}, said for {_said_by(found['recreate_by'])}"}


def _said_by(scope: str) -> str:
    return {"user": "the user", "system": "the access system", "settings": "this deployment (settings)"}.get(
        scope, scope
    )


def _pause_of(row: dict[str, Any]) -> str | None:
    """Until when, of a pause that holds; one that is over says nothing any more."""
    if not row["paused_until"] or clock.parse(row["paused_until"]) <= clock.now():
        return None
    return output.local_time(row["paused_until"]) + (f" ({row['reason']})" if row["reason"] else "")


def _paused_now(rows: list[dict[str, Any]]) -> set[Subject]:
    return {Subject(row["scope"], row["subject_id"]) for row in rows if _pause_of(row)}
