"""`seamkeeper apply`: exactly the plan is written; who moved since then is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console import plans
from console.cli import output
from console.cli.arguments import by_option, is_id
from console.cli.parts import open_database, open_queues
from console.cli.plan import field_words, make_plan, print_plan, say_unread, summary, timeout_option
from console.plans import BadPlan, Planned
from seamkeeper import settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_DONE = ("in_sync", "accepted")


@click.command("apply")
@click.argument("what", nargs=-1, required=True, metavar="PLAN.json|USER…")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@timeout_option
@by_option
@output.json_option
def apply_command(what: tuple[str, ...], yes: bool, patience: float, by: str, as_json: bool) -> int:
    """Write what a plan says, or plan users now and write that. A user of whom anything moved since is refused.

    Your order overrules SEAMKEEPER_REPAIR=plan (or such a policy) and the budget against another writer; a pause and
    `off` hold.
    """
    with open_database() as engine:
        found = _plan_of(engine, what, by=by, patience=patience)
        due = [each for each in found if each.state == "change"]
        if not as_json:
            print_plan(engine, found)
            click.echo(summary(found))
        say_unread(found)
        missed = sum(each.state in ("blocked", "unread") for each in found)
        if due and not output.is_confirmed("Write this at Seam?", yes=yes):
            output.say("Nothing was written.")
            return 1
        outcomes = _carry_out(engine, due, by=by, patience=patience)
        _report(due, outcomes, as_json=as_json)
    done = sum(outcome["outcome"] in _DONE for outcome in outcomes.values())
    if done == len(due) and not missed:
        return 0
    return 3 if done else 1


def _plan_of(engine: Engine, what: tuple[str, ...], *, by: str, patience: float) -> list[Planned]:
    """From the one file, or of the users named, read now."""
    if len(what) == 1 and what[0].endswith(".json"):
        try:
            return plans.read(Path(what[0]))
        except BadPlan as error:
            raise click.UsageError(f"{output.printable(what[0])} {error}.") from error
        except OSError as error:
            raise click.UsageError(f"{output.printable(what[0])} could not be read: {error.strerror}") from error
    for name in what:
        if name.endswith(".json") or not is_id(name):
            raise click.UsageError(f"{output.printable(name)}: give one plan (a file named …json), or ids of users.")
    return make_plan(engine, list(dict.fromkeys(what)), by=by, patience=patience, is_named=True)


def _carry_out(engine: Engine, due: Sequence[Planned], *, by: str, patience: float) -> dict[str, dict[str, Any]]:
    """Orders the repairs and waits; acs_user_id -> `outcome` (in_sync, accepted, refused, failed, silent), `reason`."""
    from console.cli.waiting import looks, say_no_worker, with_progress
    from seamkeeper import database, history
    from seamkeeper.orders import ordered

    with database.reading(engine) as connection:
        outcomes = {each.acs_user_id: said for each in due if (said := _held(connection, each))}
        _, last_action = history.last_numbers(connection)
    asks = {each.acs_user_id: ordered(each.fields) for each in due if each.acs_user_id not in outcomes}
    if not asks:
        return outcomes
    why = f"apply by {by}"
    with open_queues() as queues:
        over = looks(queues, asks, why=why, patience=patience)
        answered = set(with_progress(over, total=len(asks), title="Writing"))
        for acs_user_id in set(asks) - answered:  # a write whose answer was lost is looked after
            queues.ask_reconcile(acs_user_id, why=why, source="operator")
    with database.reading(engine) as connection:
        for each in (each for each in due if each.acs_user_id in asks):
            is_answered = each.acs_user_id in answered
            outcomes[each.acs_user_id] = _outcome(connection, each, after=last_action, is_answered=is_answered)
    if len(answered) < len(asks):
        say_no_worker(len(asks) - len(answered), patience)
    return outcomes


def _held(connection: Connection, each: Planned) -> dict[str, Any] | None:
    """Refused before anything is asked: an order overrules neither a pause nor `off`."""
    from console.cli.policy import effective_policy, in_words

    policy = effective_policy(connection, each.acs_user_id, settings.load())
    if policy["repair"] not in ("paused", "off"):
        return None
    remedy = "`seamkeeper resume` first" if policy["repair"] == "paused" else "`seamkeeper policy set` first"
    return {"outcome": "refused", "reason": f"{in_words(policy)['repair']}; {remedy}"}


def _outcome(connection: Connection, each: Planned, *, after: int, is_answered: bool) -> dict[str, Any]:
    from seamkeeper import attempts, history, mirror
    from seamkeeper.orders import MOVED

    writes = history.ordered_writes(connection, each.acs_user_id, after=after)
    if failed := [write for write in writes if write["outcome"] != "ok"]:
        return {"outcome": "failed", "reason": failed[-1]["reason"] or "the answer is not known"}
    user = mirror.find_user(connection, each.acs_user_id) or {"sync": "unknown", "drift": {}, "reason": None}
    if not is_answered and not writes:
        return {"outcome": "silent", "reason": "no answer; the order was taken back"}
    if user["sync"] == "in_sync":
        return {"outcome": "in_sync", "reason": None if writes else "was already as desired; nothing was written"}
    if writes or user["sync"] == "applying":
        return {"outcome": "accepted", "reason": user["reason"]}
    tries = attempts.of(connection, acs_user_id=each.acs_user_id, limit=1)
    if tries and tries[0]["outcome"] not in ("ok", "running"):
        return {"outcome": "failed", "reason": tries[0]["reason"]}
    if user["reason"] == MOVED:
        return {"outcome": "refused", "reason": f"{MOVED}: {_what_moved(each, user['drift'])}"}
    return {"outcome": "refused", "reason": user["reason"] or "nothing was written"}


def _what_moved(each: Planned, now: dict[str, Any]) -> str:
    """Every field that is another than in the plan, as it is now."""
    words = [
        " ".join(word.split()) for name, values in now.items() if values != each.fields.get(name)
        for word in field_words(name, values["observed"], values["desired"])
    ]  # fmt: skip
    words += [f"{name} as desired now" for name in each.fields if name not in now]
    return "; ".join(words)


def _report(due: Sequence[Planned], outcomes: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    """What became of each: all of it as JSON; for people those that are not done on stderr, and the numbers."""
    if as_json:
        output.print_json({"users": [{"acs_user_id": name, **said} for name, said in outcomes.items()]})
    for each in due:
        said = outcomes[each.acs_user_id]
        if said["outcome"] not in _DONE:
            output.say(f"{said['outcome'].capitalize()}: {each.name or ''} {each.acs_user_id}: {said['reason']}")
    words = {"in_sync": "in sync", "accepted": "accepted, being applied", "refused": "refused", "failed": "failed",
             "silent": "not answered"}  # fmt: skip
    numbers = [(sum(said["outcome"] == name for said in outcomes.values()), word) for name, word in words.items()]
    told = ", ".join(f"{number} {word}" for number, word in numbers if number)
    output.say(f"Apply: {told or 'nothing to do'}.")
