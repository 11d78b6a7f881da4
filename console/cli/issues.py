"""`seamkeeper issues`: what is wrong with whom, and who takes care of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from console.cli import output
from console.cli.arguments import an_id, by_option, chosen_until, until_options
from console.cli.parts import open_database

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NUMBER = click.IntRange(1, 2**31 - 1)
_NOTHING = "Nothing needs attention."


@click.group("issues")
def issues_command() -> None:
    """Errors and warnings on people, and what we found that a person must decide."""


@issues_command.command("list")
@click.option("--code", help="Such as failed_to_update_on_acs_system or another_writer.")
@click.option("--system", "acs_system_id", type=an_id, metavar="ID", help="An acs_system_id.")
@click.option("--all", "all_open", is_flag=True, help="Also what somebody takes care of, or put off.")
@click.option("--cleared", is_flag=True, help="What is over.")
@click.option("--before", type=_NUMBER, metavar="ISSUE", help="Go on behind this number.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@output.json_option
def list_command(
    code: str | None, acs_system_id: str | None, all_open: bool, cleared: bool, before: int | None, limit: int,
    as_json: bool,
) -> int:  # fmt: skip
    """What needs attention: neither acknowledged nor snoozed. Newest first."""
    from seamkeeper import database, issues, mirror

    if all_open and cleared:
        raise click.UsageError("Give --all or --cleared.")
    with open_database() as engine, database.reading(engine) as connection:
        found = issues.list_issues(
            connection, code=code, acs_system_id=acs_system_id, is_cleared=cleared, before=before, limit=limit,
            needs_attention=not (all_open or cleared),
        )  # fmt: skip
        names = mirror.display_names(connection, [issue["acs_user_id"] for issue in found if issue["acs_user_id"]])
    if as_json:
        output.print_json(found)
        return 0
    rows = [
        (issue["issue_id"], output.local_time(issue["first_seen_at"]), issue["state"], issue["code"],
         names.get(issue["acs_user_id"]) or issue["acs_user_id"] or _whole(issue["acs_system_id"]))
        for issue in found
    ]  # fmt: skip
    titles = ("issue", "since", "state", "code", "who")
    output.print_table(titles, rows, empty="No issue fits." if all_open or cleared else _NOTHING, whole="issue")
    if len(found) == limit:
        output.say(f"More: --before {found[-1]['issue_id']}")
    return 0


@issues_command.command("show")
@click.argument("issue_id", type=_NUMBER)
@output.json_option
def show_command(issue_id: int, as_json: bool) -> int:
    """One issue, with its facts: which field, and who moved it when."""
    from seamkeeper import database, issues, mirror

    with open_database() as engine, database.reading(engine) as connection:
        found = issues.find_issue(connection, issue_id)
        names = mirror.display_names(connection, [found["acs_user_id"]]) if found and found["acs_user_id"] else {}
    if found is None:
        click.echo(f"No issue {issue_id}.", err=True)
        return 4
    if as_json:
        output.print_json(found)
        return 0
    _print_issue(found, names.get(found["acs_user_id"]))
    return 0


@issues_command.command("acknowledge")
@click.argument("issue_ids", nargs=-1, required=True, type=_NUMBER, metavar="ISSUE…")
@by_option
def acknowledge_command(issue_ids: tuple[int, ...], by: str) -> int:
    """Say that somebody takes care of it. It stays open until what is wrong has gone."""
    from seamkeeper import issues

    return _handle(issue_ids, lambda connection, number: issues.acknowledge(connection, number, by=by), "Acknowledged")


@issues_command.command("snooze")
@click.argument("issue_ids", nargs=-1, required=True, type=_NUMBER, metavar="ISSUE…")
@until_options
@by_option
def snooze_command(issue_ids: tuple[int, ...], duration: timedelta | None, until: datetime | None, by: str) -> int:
    """Put it off: until then it is not shown among what needs attention."""
    from seamkeeper import issues

    at = chosen_until(duration, until)
    return _handle(
        issue_ids, lambda connection, number: issues.snooze(connection, number, until=at, by=by),
        f"Snoozed until {output.local_time(at.isoformat())}:",
    )  # fmt: skip


def _whole(acs_system_id: str | None) -> str:
    """Of an issue that is no user's; that of our webhook is no access system's either."""
    return f"system {acs_system_id}" if acs_system_id else "this deployment"


def _handle(numbers: Sequence[int], change: Callable[[Connection, int], bool], done: str) -> int:
    """Exit 3 when some are not open, 4 when none is."""
    chosen = list(dict.fromkeys(numbers))
    with open_database() as engine, engine.begin() as connection:
        changed = [number for number in chosen if change(connection, number)]
    for number in chosen:
        if number not in changed:
            output.say(f"No open issue {number}.")
    if changed:
        output.say(f"{done} {', '.join(map(str, changed))}.")
    if len(changed) == len(chosen):
        return 0
    return 3 if changed else 4


def _print_issue(issue: dict[str, Any], name: str | None) -> None:
    from seamkeeper.issues import FINDINGS

    meaning = {"meaning": FINDINGS[issue["code"]]} if issue["code"] in FINDINGS else {}
    instants = ("first_seen_at", "last_seen_at", "acknowledged_at", "snoozed_until", "cleared_at")
    shown = {
        "issue": issue["issue_id"], "state": issue["state"], "kind": issue["kind"], "code": issue["code"], **meaning,
        "message": issue["message"], "user": issue["acs_user_id"], "name": name, "system": issue["acs_system_id"],
        "raised_at": issue["raised_at"], "acknowledged_by": issue["acknowledged_by"],
    } | {when: output.local_time(issue[when]) for when in instants if issue[when]}  # fmt: skip
    output.print_fields({title: value for title, value in shown.items() if value})
    _print_detail(issue["detail"])


def _print_detail(detail: Any) -> None:
    """The facts of a finding: per field what is desired, and who moved it when; other facts as they are."""
    facts = dict(detail) if isinstance(detail, dict) else {"detail": detail} if detail else {}
    fields = facts.pop("fields", {})
    output.print_fields(facts)
    for field, each in (fields if isinstance(fields, dict) else {}).items():
        each = each if isinstance(each, dict) else {"desired": each}
        click.echo(f"\n{output.printable(field)}: desired {output.printable(each.get('desired'))}")
        moves = [(output.local_time(move["at"]), move["who"]) for move in each.get("moves", ())]
        if moves:
            output.print_table(("when", "moved by"), moves, empty="")
