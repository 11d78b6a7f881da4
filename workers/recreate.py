"""Recreate: a new user for one who is gone and still desired, and never two.

Runs within a reconcile of the user who is gone, so in that user's turn. One step each time: decide (workers/anew.py);
or look who is there, write the intent down and ask Seam; or, when an intent stands there without an outcome, look who
is there now. Nothing is kept between the steps but the row (seamkeeper/recreations.py): a killed worker loses none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from seamkeeper import clock, history, logs, mirror, recreations, users
from seamkeeper.desired import set_desired
from seamkeeper.errors import Permanent, Postponed, Temporary
from seamkeeper.recreations import Recreation
from workers import anew, person
from workers.anew import Case
from workers.tools import Tools

if TYPE_CHECKING:
    from workers.reconcile import Ask

_LOOKS = 3  # of the later looks: the time they take is given to a lost call to show


def in_place_of(tools: Tools, ask: Ask, raw: users.Observed | None = None) -> None:
    """The next step for a user who is gone; `raw` is what Seam still shows of one who was deleted at the provider.
    Raises as Seam's API does."""
    with tools.engine.begin() as connection:
        case = anew.case_of(tools, connection, ask.acs_user_id)
        if case is None:
            return
        row = case.row if case.row and case.row.state == "intended" else anew.decide(tools, connection, case)
        if row is None:
            return
        _later(tools, ask)  # before anything can fail: who is not done by then is looked at again
        if row.state == "approved" and (reason := anew.what_to_wait_for(tools, connection, case, row, raw)):
            recreations.give_reason(connection, row, reason)
            return
    if row.state == "intended":
        find_out(tools, ask, row, raw)
    else:
        _make(tools, ask, row, case.wish.create, raw)


def back(tools: Tools, connection: Connection, raw: users.Observed, *, is_desired: bool) -> Recreation | None:
    """The user is there: nobody is to be made. Gives an intent whose outcome is not known: `find_out` must look."""
    acs_user_id = str(raw["acs_user_id"])
    row = recreations.latest(connection, acs_user_id)
    if row is None or row.state == "intended":
        return row
    if row.state == "unclear" and is_desired:
        return None  # there may be two: the finding stays
    if row.state not in ("created", "adopted"):
        recreations.drop(connection, row, reason="the user is there")
    elif (mirror.find_user(connection, str(row.new_acs_user_id)) or {}).get("deleted_at"):
        recreations.clear_findings(connection, acs_user_id)  # a person decided: this one stays
    elif (gone := recreations.gone_user(connection, acs_user_id)) and row.new_acs_user_id:
        said = f"{row.new_acs_user_id} was made instead, and this one came back: a person decides who stays"
        anew.tell(tools, connection, gone, "recreate_unclear", said, candidates=[row.new_acs_user_id])
    return None


def find_out(
    tools: Tools, ask: Ask, row: Recreation, raw: users.Observed | None = None, *, is_back: bool = False
) -> None:
    """What became of an intent whose answer nobody heard: exactly one new user like this one is adopted; none, for as
    long as a call may take, is one to ask for again; anything else is a person's."""
    if is_back:
        _later(tools, ask)
    looked_at, since = clock.now(), clock.parse(row.request["since"])
    found = list(_alike(tools, row, row.request["create"], not_these=row.request["passed_over"], since=since))
    call = None
    with tools.engine.begin() as connection:
        case = anew.case_of(tools, connection, ask.acs_user_id)
        if case is None or case.row != row:
            return  # somebody else has it
        recreations.end_lost_actions(connection, ask.acs_user_id)
        managed, new = recreations.taken(connection, found)
        free = [name for name in found if name not in managed | new]
        if managed - new or len(free) > 1 or (is_back and free):
            _unclear(tools, connection, case, row, [*free, *sorted(managed - new)])
        elif free:
            _take_place(tools, connection, ask, case, row, free[0], how="adopted")
        elif looked_at < _lost_until(tools, row):
            return  # the later look that was asked for first comes
        elif is_back or anew.why_nobody(case):
            recreations.settle(connection, row, "dropped", reason="the answer was lost, and nobody was made")
            recreations.clear_findings(connection, ask.acs_user_id)
        elif not (reason := anew.what_to_wait_for(tools, connection, case, row, raw)):
            call = _intend(connection, ask, case, row, row.request)
        else:
            recreations.give_reason(connection, row, reason)
    if call:
        _create(tools, ask, *call)


def _make(
    tools: Tools, ask: Ask, row: Recreation, create: Mapping[str, Any], old: users.Observed | None
) -> None:  # fmt: skip
    """Who is there already, made by somebody else, is not made twice. A managed namesake is another person. The list
    takes its time: what allowed it is asked once more behind it. `old`: what Seam still shows of the old user."""
    known = list(row.request.get("passed_over", ()))
    found = _alike(tools, row, create, not_these=known, since=None)
    with tools.engine.begin() as connection:
        case = anew.case_of(tools, connection, ask.acs_user_id)
        if case is None or case.row != row or case.wish.create != create:
            return  # somebody else has it, or something else is desired by now: the later look begins again
        if anew.decide(tools, connection, case) != row:
            return  # nothing is desired any more, or a person is to decide
        if reason := anew.what_to_wait_for(tools, connection, case, row, old):
            recreations.give_reason(connection, row, reason)
            return
        managed, _ = recreations.taken(connection, list(found))
        doubtful = [name for name, raw in found.items() if person.is_surely(raw, create) or name not in managed]
        request = {"create": dict(create), "since": clock.iso(case.at), "passed_over": [*known, *found]}
        if doubtful:
            _unclear(tools, connection, case, row, doubtful, request=request)
            return
        if anew.is_budget_spent(tools, connection, case):
            recreations.give_reason(connection, row, "the budget of a day is spent")
            return
        call = _intend(connection, ask, case, row, request)
    if call:
        _create(tools, ask, *call)


def _intend(
    connection: Connection, ask: Ask, case: Case, row: Recreation, request: Mapping[str, Any]
) -> tuple[Recreation, int] | None:
    """The intent and the line of the audit, to be committed before the call; None when somebody else has it."""
    intent = recreations.intend(connection, row, request, at=clock.now())
    if intent is None:
        return None
    why = {name: {"observed": users.observed_value(case.gone.observed, name), "desired": value}
           for name, value in case.desired.items()}  # fmt: skip
    number = history.begin_action(
        connection, ask.acs_user_id, endpoint=recreations.CREATE, source=ask.source,
        asked_by=f"{row.asked_by}; {ask.why}", why=why, before=dict(case.gone.observed), request=request["create"],
    )  # fmt: skip
    return intent, number


def _create(tools: Tools, ask: Ask, intent: Recreation, number: int) -> None:
    """The call, once. Never again for this intent, whatever is heard."""
    try:
        if intent.intended_at is None or clock.now() > intent.intended_at + tools.settings.seam_timeout:
            raise Postponed(f"{ask.acs_user_id}: this process slept since the intent was written")
        new_acs_user_id = tools.seam.create_user(intent.request["create"])
    except (Permanent, Temporary) as error:
        _has_failed(tools, intent, number, error)
        if isinstance(error, Permanent):
            return  # the finding is what a person needs
        raise
    with tools.engine.begin() as connection:
        history.end_action(connection, number, "ok", request_id=tools.seam.request_id())
        case = anew.case_of(tools, connection, ask.acs_user_id)
        if case is None or case.row is None:
            return
        is_new = new_acs_user_id not in intent.request["passed_over"] and new_acs_user_id != ask.acs_user_id
        since = clock.parse(intent.request["since"])
        is_new = is_new and not recreations.is_known_before(connection, new_acs_user_id, since)
        if case.row == intent and is_new:
            _take_place(tools, connection, ask, case, intent, new_acs_user_id, how="created")
        elif case.row.new_acs_user_id != new_acs_user_id:
            _unclear(tools, connection, case, intent, [new_acs_user_id])


def _has_failed(tools: Tools, intent: Recreation, number: int, error: Permanent | Temporary) -> None:
    """Only a refusal is an outcome. Of all else, what was not sent included, the intent stands, and is looked into."""
    outcome = "refused" if isinstance(error, Permanent) else "not_sent" if isinstance(error, Postponed) else "unknown"
    with tools.engine.begin() as connection:
        history.end_action(connection, number, outcome, reason=str(error), request_id=tools.seam.request_id())
        gone = recreations.gone_user(connection, intent.acs_user_id)
        if gone and outcome == "refused" and recreations.settle(connection, intent, "refused", reason=str(error)):
            said = f"Seam refused a new user: {error}. Mend what is desired, or approve once more"
            anew.tell(tools, connection, gone, "recreate_wanted", said)


def _take_place(
    tools: Tools, connection: Connection, ask: Ask, case: Case, row: Recreation, new_acs_user_id: str, *, how: str
) -> None:
    """The new user is the managed one from here on. What follows is asked for before the commit: it may run twice, and
    is never forgotten."""
    if not recreations.link(connection, row, new_acs_user_id, how=how, source=ask.source):
        return
    if users.observed_value(case.gone.observed, "is_suspended") and "is_suspended" not in case.desired:
        set_desired(connection, new_acs_user_id, {"is_suspended": True}, by=row.asked_by)
    why = f"{how} in place of {ask.acs_user_id}"
    tools.queues.ask_reconcile(new_acs_user_id, why=why, source=ask.source, delay=timedelta(seconds=1))
    if "acs_user.recreated" in tools.table:
        detail = {"replaces": ask.acs_user_id, "how": how}
        tools.queues.ask_reactions("acs_user.recreated", new_acs_user_id, detail=detail, source=ask.source)
    logs.get().info("user.recreated", acs_user_id=new_acs_user_id, replaces=ask.acs_user_id, how=how)


def _unclear(
    tools: Tools, connection: Connection, case: Case, row: Recreation, candidates: Sequence[str], *,
    request: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    names = ", ".join(candidates)
    said = f"{names} may be this person: a person decides who is, or approves a new user all the same"
    recreations.settle(connection, row, "unclear", reason=said, request=request)
    anew.tell(tools, connection, case.gone, "recreate_unclear", said, candidates=candidates)


def _alike(
    tools: Tools, row: Recreation, create: Mapping[str, Any], *, not_these: Collection[str], since: datetime | None
) -> dict[str, users.Observed]:
    """Who of the whole access system may be the person. Not Seam's own search: which fields it looks at, and when a
    new user is found by it, is not documented, and whom it misses would be made twice."""
    passed_over = {row.acs_user_id, *not_these}
    return {
        str(raw["acs_user_id"]): raw
        for page in tools.seam.user_pages(row.acs_system_id)
        for raw in person.alike(page, create, not_these=passed_over, since=since)
    }


def _lost_until(tools: Tools, row: Recreation) -> datetime:
    """Until then a call that nobody heard the end of may still be carried out: a job and its call live no longer."""
    told = tools.settings
    looks = timedelta(seconds=sum(told.reread_delays[:_LOOKS]))
    return (row.intended_at or row.asked_at) + max(looks, told.job_timeout + told.seam_timeout)


def _later(tools: Tools, ask: Ask) -> None:
    """Once more, in the rhythm of the later looks; unlike those without an end, for somebody waits to be made."""
    delays = tools.settings.reread_delays
    step = min(ask.step + 1, len(delays))
    delay = timedelta(seconds=delays[step - 1])
    tools.queues.ask_reconcile(ask.acs_user_id, why=ask.why, source=ask.source, delay=delay, step=step)
