"""The jobs: module-level functions with JSON arguments, named by strings in seamkeeper/queues.py.

Each may run twice, in this worker or in a stock `rq worker -S json`. Retrying is said by raising the right error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import RedisError
from rq import get_current_job
from sqlalchemy.exc import SQLAlchemyError

from seamkeeper import clock, journal, logs
from seamkeeper.errors import Permanent, Postponed, Temporary
from seamkeeper.events import Event, read_event
from seamkeeper.journal import Arrival
from seamkeeper.queues import RESYNC_ACCOUNT, RESYNC_ALL, RESYNC_SYSTEM
from seamkeeper.schedules import Schedules
from workers import (
    backfill,
    backfill_spans,
    findings,
    key_refused,
    messenger,
    probe,
    recovery,
    registration,
    replay,
    resync,
    retention,
    rhythm,
    silence,
)
from workers.changes import Change
from workers.failures import attempt, postponable, reason_of
from workers.interface import toolbox_for
from workers.reactions import own
from workers.reconcile import Ask, reconcile
from workers.schedules import run_of
from workers.tools import Tools, tools_of_this_process
from workers.turn import in_turn

_Result = TypeVar("_Result")
# While RQ tries a job again, later and later, the clock plans no other: behind an outage that is an hour of nothing.
_OVER_FOR_NOW = (Temporary, Permanent, SQLAlchemyError, RedisError)


@postponable
def handle_event(*, body: str, received_at: str, source: str, delivery_id: str) -> None:
    """An accepted event: its journal row, then the reactions of its type. One without any is `ignored`."""
    tools = tools_of_this_process()
    event = read_event(body)
    arrival = Arrival(clock.parse(received_at), source, delivery_id)
    reactions = tools.table.get(event.event_type, ())
    with attempt(tools, "handle_event", event_id=event.event_id, event_type=event.event_type):
        with tools.engine.begin() as connection:
            journal.write_event(connection, event, body, arrival)
        for reaction in reactions:
            reaction(event, tools)
        with tools.engine.begin() as connection:
            journal.settle(connection, event.event_id, "done" if reactions else "ignored")


def keep_unreadable(
    *, name: str, body: str, reason: str, received_at: str, delivery_id: str, source: str = "webhook"
) -> None:
    """A body that came from Seam and nobody can read: kept for a person."""
    tools = tools_of_this_process()
    arrival = Arrival(clock.parse(received_at), source, delivery_id)
    with tools.engine.begin() as connection:
        journal.write_unreadable(connection, name, body, reason, arrival)


def reconcile_user(*, acs_user_id: str, why: str, source: str, step: int = 0, mode: str = "") -> None:
    """One user, read afresh, in the user's turn: never two at once. Who finds it taken leaves it to another job."""
    tools = tools_of_this_process()
    ask = Ask(acs_user_id, why, source, step, mode)
    in_turn(tools, ask, lambda: reconcile(tools, ask))


@postponable
def react_to_change(*, change: str, acs_user_id: str, detail: dict[str, Any], source: str) -> None:
    """The reactions to what a re-read found."""
    tools = tools_of_this_process()
    with attempt(tools, "react_to_change", event_type=change, acs_user_id=acs_user_id):
        for reaction in tools.table.get(change, ()):
            reaction(Change(change, acs_user_id, detail, source), tools)


@postponable
def resync_system(*, name: str, why: str, goes_on: bool = False) -> None:
    """One slice of the resync of an access system; it asks for the next."""
    tools = tools_of_this_process()

    def look() -> None:
        resync.resync_system(tools, name, why=why, goes_on=goes_on)

    _resync(tools, "resync_system", RESYNC_SYSTEM, name, look, goes_on=goes_on)


@postponable
def resync_account(*, name: str, why: str) -> None:
    """All access systems of one connected account."""
    tools = tools_of_this_process()
    _resync(tools, "resync_account", RESYNC_ACCOUNT, name, lambda: resync.resync_account(tools, name, why=why))


@postponable
def resync_all(*, name: str, why: str) -> list[str] | None:
    """All access systems that Seam shows us; the job's result names them, for who waits for them."""
    tools = tools_of_this_process()
    return _resync(tools, "resync_all", RESYNC_ALL, name, lambda: resync.resync_all(tools, why=why))


@postponable
def backfill_by_the_clock() -> None:
    """Events that no delivery brought, from the checkpoint to Seam's present; then a look whether deliveries come."""
    tools = tools_of_this_process()
    with attempt(tools, "backfill"), run_of("backfill", tools.queues), key_refused.watched(tools):
        count, is_done = backfill.by_the_clock(tools)
        silence.compare_clocks(tools)
        silence.listen(tools, count)
        if is_done:
            findings.of_the_house(tools, "redis_forgot", None)
        else:
            Schedules(tools.queues).hurry("backfill")


@postponable
def backfill_span(*, name: str) -> None:
    """The events of a span that a person named; in slices."""
    tools, job = tools_of_this_process(), get_current_job()
    try:
        with attempt(tools, "backfill_span"):
            backfill_spans.go_on(tools, name)
    except Postponed:
        raise
    except Exception as error:
        if job is None or not job.retries_left:
            with suppress(SQLAlchemyError):
                backfill_spans.gave_up(tools, name, reason_of(error))
        raise


@postponable
def recover() -> None:
    """Redis forgot: everything is asked for again."""
    tools = tools_of_this_process()
    with attempt(tools, "recover"), run_of("recover", tools.queues):
        recovery.recover(tools)


@postponable
def run_own_reaction(
    *, name: str, happening: str, event: str | None = None, change: dict[str, Any] | None = None
) -> None:
    """One function of the customer's own, for one event or change. Its failures are its own: the event stays settled
    as our handling left it, and shows these tries beside ours."""
    tools = tools_of_this_process()
    about = own.unpack(happening, event=event, change=change)
    subject: dict[str, Any] = (
        {"event_id": about.event_id} if isinstance(about, Event) else {"acs_user_id": about.acs_user_id}
    )
    with attempt(tools, name, **subject, counter=f"own_attempts:{name}", settles=False):
        own.find(tools.table.get(happening, ()), name, happening)(about, toolbox_for(name, tools))


def send_notice(*, name: str, about: dict[str, Any]) -> None:
    """One notice to everybody who shall be told."""
    tools, job = tools_of_this_process(), get_current_job()
    try:
        with attempt(tools, "send_notice", counter="notice_attempts"):
            messenger.send(tools, name, about)
    except Exception as error:
        messenger.gave_up(tools, name, reason_of(error), is_dead=job is None or not job.retries_left)
        raise


def probe_system(*, name: str, why: str) -> None:
    """Does an access system answer again, and who waits for it?"""
    tools = tools_of_this_process()
    job = get_current_job()
    with attempt(tools, "probe_system"):
        tools.queues.probe_begins(name, job_id=job.id if job else "")
        probe.probe_system(tools, name, why=why)


@postponable
def check_registration(repair: bool = False) -> None:
    """Is our webhook at Seam as it must be? `repair`: a person wants it put right."""
    tools = tools_of_this_process()
    with run_of("registration", tools.queues), attempt(tools, "check_registration"), key_refused.watched(tools):
        registration.check(tools, repair=repair)


def look_at_systems() -> None:
    """Whose resync is due? What fails is over until the next minute: nobody tries it again, nobody is told twice."""
    tools = tools_of_this_process()
    with suppress(*_OVER_FOR_NOW), run_of("systems", tools.queues):
        try:
            rhythm.look_at_systems(tools)
        except _OVER_FOR_NOW as error:
            logs.get().warning("systems.not_looked_at", reason=reason_of(error))
            raise


@postponable
def run_replay(*, replay_id: int) -> None:
    """The next step of a replay of many."""
    tools, job = tools_of_this_process(), get_current_job()
    with attempt(tools, "run_replay"):
        replay.take_step(tools, replay_id, job_id=job.id if job else "")


@postponable
def prune() -> None:
    """What is too old goes (by the clock)."""
    tools = tools_of_this_process()
    with attempt(tools, "prune"), run_of(retention.NAME, tools.queues):
        retention.prune(tools)


def _resync(
    tools: Tools, job_name: str, function: str, name: str, look: Callable[[], _Result], *, goes_on: bool = False
) -> _Result | None:
    """One that comes again later is the one that waits: a broken system must not gather a list for each ask."""
    job = get_current_job()
    job_id = job.id if job else ""
    with attempt(tools, job_name):
        if not tools.queues.resync_begins(function, name, job_id=job_id, goes_on=goes_on):
            return None
        try:
            return look()
        except Exception:
            with suppress(RedisError):
                tools.queues.resync_waits(function, name, job_id=job_id, goes_on=goes_on)
            raise
