"""What a person may do about a user. Each is asked for here and done by the workers, which read the user first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from console.web import asked as asking
from console.web import words
from console.web.acting import Asked, Done, Refused
from console.web.asking import queues_of
from console.web.comparing import held_fields
from console.web.people import need
from console.web.rendering import page
from console.web.state import console_of, part
from console.web.user_page import PAUSES, effective_policy, read, stamps_of, user_response
from seamkeeper import clock, desired, issues, mirror, policies, recreations
from seamkeeper.issues import LEFT_TO_A_PERSON
from seamkeeper.orders import ORDINARY, ordered
from seamkeeper.policies import Policy

_MOVED = "This user moved since the page was made, so nothing was done. Look at it as it is now, then decide."
_UNKNOWN = "No user with this id was ever read, and nothing is desired of one."
_SNOOZES = (1, 8, 24, 72, 168)  # hours


def sync(asked: Asked) -> Done:
    """POST /users/{id}/sync: writes the plan that was shown, or nothing."""
    found, policy = _find(asked)
    if not found["drift"]:
        raise Refused("There is nothing to write: nothing differs.", to=_page(asked))
    _unmoved(asked, found, "drift")
    if policy.repair in ("paused", "off"):
        remedy = "Resume first" if policy.repair == "paused" else "Set another policy first"
        raise Refused(f"Nothing was asked for: repairs are {policy.repair} for the {policy.repair_by}. {remedy}.",
                      to=_page(asked))  # fmt: skip
    is_fought = set(held_fields(found, codes=LEFT_TO_A_PERSON)) & set(found["drift"])
    is_order = policy.repair == "plan" or bool(is_fought)
    # an order writes what the policy would only show, and exactly that: who moved meanwhile is refused by the worker
    mode = ordered(found["drift"]) if is_order else ORDINARY
    _ask(asked, why=f"apply by {asked.person.name}", mode=mode)
    number = len(found["drift"])
    said = f"Asked for: {number} {'field' if number == 1 else 'fields'}. The user is read first, then written."
    return Done(said, _page(asked), {"fields": sorted(found["drift"]), "is_order": is_order})


def refresh(asked: Asked) -> Done:
    """POST /users/{id}/refresh: read again now, and repaired where policy allows."""
    _ask(asked, why=f"refresh by {asked.person.name}")
    return Done("Asked for: the user is read from Seam now.", _page(asked))


def accept(asked: Asked) -> Done:
    """POST /users/{id}/accept: what is live becomes what is desired."""
    with asked.console.engine.begin() as connection:
        _unmoved(asked, _held(asked, connection), "live", "desired")
        taken = desired.accept(connection, asked.path["acs_user_id"], by=asked.person.name)
    if taken is None:
        raise Refused("This user was never read, or is gone: there is nothing to accept.", to=_page(asked))
    _ask(asked, why=f"live accepted by {asked.person.name}")
    said = "What is live is desired now."
    if taken.let_go:
        said += f" Not managed any more, since Seam shows no value: {', '.join(taken.let_go)}."
    if taken.wrong:
        said += " Not taken, since it could not be sent back: " + "; ".join(
            f"{name} {sentence}" for name, sentence in taken.wrong.items()
        )
    return Done(said, _page(asked), {"not_taken": sorted(taken.wrong), "let_go": sorted(taken.let_go)})


def pause(asked: Asked) -> Done:
    """POST /users/{id}/pause with `hours` and `reason`."""
    _find(asked)
    hours = _hours(asked, PAUSES)
    until = clock.now() + timedelta(hours=hours)
    reason = asked.text("reason")[:500] or f"by {asked.person.name}"
    with asked.console.engine.begin() as connection:
        policies.set_policy(
            connection, "user", asked.path["acs_user_id"], by=asked.person.name, paused_until=until, reason=reason
        )
    _ask(asked, why=f"paused by {asked.person.name}")
    said = f"Paused until {words.exact(until)[:16]} UTC: the user is read, and nothing is written."
    return Done(said, _page(asked), {"hours": hours})


def resume(asked: Asked) -> Done:
    """POST /users/{id}/resume"""
    acs_user_id = asked.path["acs_user_id"]
    with asked.console.engine.begin() as connection:
        was_paused = policies.end_pause(connection, "user", acs_user_id, by=asked.person.name)
    if not was_paused:
        raise Refused("This user is not paused by itself: a wider pause (access system, all) is ended where it was "
                      "made, with `seamkeeper resume`.", to=_page(asked))  # fmt: skip
    _ask(asked, why=f"resumed by {asked.person.name}")
    _, policy = _find(asked)
    still = f" It is still paused for the {policy.repair_by}." if policy.repair == "paused" else ""
    return Done(f"Resumed; the user is read now.{still}", _page(asked), {"is_still_paused": bool(still)})


def suspending(request: Request) -> Response:
    """GET /users/{id}/suspend: what it means, before it is asked for."""
    return _confirming(request, "suspend", role="operator")


def suspend(asked: Asked) -> Done:
    """POST /users/{id}/suspend with `is_suspended` yes or no, and a reason."""
    found, policy = _find(asked)
    is_suspended, reason = asked.text("is_suspended") == "yes", asked.text("reason")[:500]
    if found["deleted_at"]:
        raise Refused("This user is gone: nobody can be suspended.", to=_page(asked))
    if not reason:
        raise Refused("Give a reason: it stands in the audit log.", to=f"{_page(asked)}/suspend")
    with asked.console.engine.begin() as connection:
        _unmoved(asked, _held(asked, connection), "desired")
        values = {"is_suspended": is_suspended}
        desired.set_desired(connection, asked.path["acs_user_id"], values, by=asked.person.name)
    _ask(asked, why=f"{'suspended' if is_suspended else 'unsuspended'} by {asked.person.name}")
    said = "The suspension is desired now." if is_suspended else "It is desired now that this person is not suspended."
    said += until_written(policy)
    return Done(said, _page(asked), {"is_suspended": is_suspended, "why": reason})


def recreating(request: Request) -> Response:
    """GET /users/{id}/recreate"""
    return _confirming(request, "recreate", role="admin")


def recreate(asked: Asked) -> Done:
    """POST /users/{id}/recreate: a new user in place of one who is gone."""
    _find(asked)
    try:
        with asked.console.engine.begin() as connection:
            recreations.approve(connection, asked.path["acs_user_id"], by=asked.person.name)
    except ValueError as error:
        raise Refused(f"Nothing was done: {error}.", to=_page(asked)) from error
    _ask(asked, why=f"recreate approved by {asked.person.name}")
    return Done("Approved: the workers ask Seam for the new user. This page tells how it ended.", _page(asked))


def acknowledge(asked: Asked) -> Done:
    """POST /users/{id}/acknowledge with `issue`."""
    number = _issue(asked)
    with asked.console.engine.begin() as connection:
        was_open = issues.acknowledge(connection, number, by=asked.person.name)
    return _handled(asked, number, was_open, "Acknowledged: it stays here until what is wrong has gone.")


def snooze(asked: Asked) -> Done:
    """POST /users/{id}/snooze with `issue` and `hours`."""
    number, hours = _issue(asked), _hours(asked, _SNOOZES)
    until = clock.now() + timedelta(hours=hours)
    with asked.console.engine.begin() as connection:
        was_open = issues.snooze(connection, number, until=until, by=asked.person.name)
    return _handled(asked, number, was_open, f"Snoozed until {words.exact(until)[:16]} UTC.")


def reveal(asked: Asked) -> Done:
    """POST /users/{id}/reveal: the page with nothing masked, for this one look."""
    acs_user_id = asked.path["acs_user_id"]
    return Done("", _page(asked), page=user_response(asked.request, acs_user_id, is_revealed=True))


def _confirming(request: Request, what: str, *, role: Any) -> Response:
    need(request, role)
    console, acs_user_id = console_of(request), asking.name_in_path(request, "acs_user_id")
    shown = part(lambda: read(console, acs_user_id))
    if shown.problem is None and shown.value is None:
        return user_response(request, acs_user_id)  # says 404
    note = until_written(shown.value.policy) if shown.value else ""
    return page(request, f"user_{what}.html", shown=shown, note=note, path=f"/users/{words.segment(acs_user_id)}")


def until_written(policy: Policy) -> str:
    """What has to be done before something that is desired is written; nothing where repairs are applied."""
    remedy = {"plan": "you press Sync now", "paused": "the sync is resumed", "off": "another policy is set"}
    if policy.repair not in remedy:
        return ""
    return f" Repairs are {policy.repair} for this user: nothing is written before {remedy[policy.repair]}."


def _held(asked: Asked, connection: Connection) -> Mapping[str, Any]:
    """The user as they are now, and stay until the transaction ends: no worker and no application comes between."""
    acs_user_id = asked.path["acs_user_id"]
    mirror.standing(connection, acs_user_id)
    desired.hold(connection, acs_user_id)
    found = mirror.find_user(connection, acs_user_id)
    if found is None:
        raise Refused(_UNKNOWN, to="/users")
    return found


def _find(asked: Asked) -> tuple[Mapping[str, Any], Policy]:
    """The user and what may be done to them, as they are now."""
    with asked.console.reading() as connection:
        found = mirror.find_user(connection, asked.path["acs_user_id"])
        if found is None:
            raise Refused(_UNKNOWN, to="/users")
        return found, effective_policy(asked.console, connection, found)


def _unmoved(asked: Asked, found: Mapping[str, Any], *names: str) -> None:
    """Raises `Refused` when what the form was made from is not so any more."""
    now = stamps_of(found)
    if any(asked.text(f"seen_{name}") != getattr(now, name) for name in names):
        raise Refused(_MOVED, to=_page(asked))


def _ask(asked: Asked, *, why: str, mode: str = ORDINARY) -> None:
    """Somebody looks on: it goes before what waits in the queue."""
    queues_of(asked.console).ask_reconcile(
        asked.path["acs_user_id"], why=why, source="operator", mode=mode, is_at_front=True
    )


def _hours(asked: Asked, offered: tuple[int, ...]) -> int:
    hours = asking.whole(asked.text("hours"))
    if hours not in offered:
        raise Refused(f"Choose one of {', '.join(map(str, offered))} hours.", to=_page(asked))
    return hours


def _issue(asked: Asked) -> int:
    """The number of an open issue of this user."""
    number = asking.whole(asked.text("issue")) or 0
    with asked.console.reading() as connection:
        found = issues.find_issue(connection, number)
    if found is None or found["acs_user_id"] != asked.path["acs_user_id"]:
        raise Refused("There is no such issue on this user.", to=_page(asked))
    return number


def _handled(asked: Asked, number: int, was_open: bool, said: str) -> Done:
    if not was_open:
        raise Refused("It has cleared meanwhile.", to=_page(asked))
    return Done(said, _page(asked), {"issue_id": number})


def _page(asked: Asked) -> str:
    return f"/users/{words.segment(asked.path['acs_user_id'])}"
