"""What failed for good becomes a dead letter: by a try of ours, or by RQ when no try of ours could say anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rq.exceptions import DeserializationError
from rq.job import Job
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from seamkeeper import attempts, clock, dead, journal, logs, mirror, orders
from seamkeeper.dead import Failure, Subject
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import Event, read_event
from seamkeeper.journal import Arrival
from seamkeeper.queues import HANDLE_EVENT, RECONCILE_USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.tools import Tools


# Jobs of the clock and resyncs come again by themselves, each time as a new job: what fails again is the same, and ends
# with the next that goes well. A letter for each job would never end, and a replay would bring all of them back.
_COMES_AGAIN = re.compile(r"((?:clock|resync)-.+)-[0-9a-f]{8}")


def subject_of(
    name: str, job_id: str, *, event_id: str | None, event_type: str | None, acs_user_id: str | None, settles: bool
) -> Subject:
    """Of whom a try speaks: the event it settles, the user it reconciles, or nobody but its own job."""
    if event_id and settles:
        return Subject("event", event_id, name, event_type, acs_user_id)
    if acs_user_id and name == "reconcile_user":
        return Subject("user", acs_user_id, name, acs_user_id=acs_user_id)
    again = _COMES_AGAIN.fullmatch(job_id)
    return Subject("job", again[1] if again else job_id or name, name, event_type, acs_user_id)


def write(connection: Connection, subject: Subject, failure: Failure, *, job: Job | None) -> None:
    """The letter, with how often it was tried since it last went well and when that began."""
    tries, first_at = _tries(connection, subject, job)
    about = journal.subjects_of(connection, subject.subject_id) if subject.kind == "event" else None
    acs_user_id = (about or {}).get("acs_user_id") or subject.acs_user_id
    acs_system_id = (about or {}).get("acs_system_id")
    if acs_user_id and not acs_system_id:
        acs_system_id = mirror.system_of(connection, acs_user_id)
    full = Subject(subject.kind, subject.subject_id, subject.job, subject.event_type, acs_user_id, acs_system_id)
    dead.write(connection, full, failure, tries=tries, first_at=first_at)


def set_aside(tools: Callable[[], Tools], job: Job, reason: str) -> None:
    """RQ put this job into its failed registry. Where no try of ours told why (three workers died of it, its arguments
    cannot be read, its thread hung), the letter is written here, and the event that stays open is settled."""
    log = logs.get().bind(job_id=job.id)
    try:
        _set_aside(tools(), job, reason)
    except SQLAlchemyError as error:  # RQ's failed registry still has it, with its reason
        log.warning("dead_letter.not_written", error=type(error).__name__)


def _set_aside(tools: Tools, job: Job, reason: str) -> None:
    function, arguments = _call(job)
    if arguments.get("mode") == orders.DRY:  # somebody waited for a plan, and was told
        return
    name = function.rpartition(".")[2]
    event = _event(arguments) if function == HANDLE_EVENT else None
    acs_user_id = str(arguments.get("acs_user_id") or "") if function == RECONCILE_USER else ""
    subject = subject_of(
        name, job.id, event_id=event.event_id if event else None, event_type=event.event_type if event else None,
        acs_user_id=acs_user_id or None, settles=True,
    )  # fmt: skip
    cause = _cause(reason)
    failure = Failure(_sentence(reason, cause), cause)
    with tools.engine.begin() as connection:
        if _is_told(connection, subject, job):
            return
        if event:
            journal.write_event(connection, event, arguments["body"], _arrival(arguments), is_try=False)
            journal.settle(connection, event.event_id, "dead", reason=failure.reason, cause=cause)
        event_id = event.event_id if event else None
        attempts.end_lost(connection, job.id, failure, event_id=event_id, acs_user_id=acs_user_id or None)
        write(connection, subject, failure, job=job)
    logs.get().warning("job.set_aside", job=name, job_id=job.id, cause=cause, reason=failure.reason)


def _is_told(connection: Connection, subject: Subject, job: Job) -> bool:
    """The try itself wrote the letter, in this very run."""
    found = dead.find_open(connection, subject.kind, subject.subject_id)
    began = _aware(job.started_at)
    return found is not None and (began is None or clock.parse(found["died_at"]) >= began)


def _tries(connection: Connection, subject: Subject, job: Job | None) -> tuple[int, datetime | None]:
    if subject.kind == "event":
        return attempts.failures(connection, subject.job, event_id=subject.subject_id)
    if subject.kind == "user":
        return attempts.failures(connection, subject.job, acs_user_id=subject.subject_id)
    return ((job.number_of_retries or 0) + 1, _aware(job.created_at)) if job else (1, None)


def _call(job: Job) -> tuple[str, dict[str, Any]]:
    """Function and arguments; those that cannot be read are none."""
    try:
        return str(job.func_name), dict(job.kwargs)
    except (DeserializationError, TypeError, ValueError):
        return "unreadable", {}


def _event(arguments: dict[str, Any]) -> Event | None:
    try:
        return read_event(str(arguments.get("body", "")))
    except UnreadableEvent:
        return None


def _arrival(arguments: dict[str, Any]) -> Arrival:
    try:
        received_at = clock.parse(arguments.get("received_at"))
    except ValueError:
        received_at = clock.now()
    return Arrival(received_at, str(arguments.get("source") or "webhook"), str(arguments.get("delivery_id") or ""))


def _cause(reason: str) -> str:
    """RQ gives a traceback, or a line; only its last word's beginning is told, as values of people may follow it."""
    kind = _last_line(reason).partition(":")[0].rpartition(".")[2].strip()
    causes = {"AbandonedJobError": "worker_died", "JobTimeoutException": "time_out", "MemoryError": "memory",
              "DeserializationError": "unreadable_job", "OperationalError": "database"}  # fmt: skip
    return causes.get(kind, f"unexpected:{kind[:100]}" if kind.isidentifier() else "unexpected")


def _sentence(reason: str, cause: str) -> str:
    """These were written by our worker; of others the kind is enough."""
    if cause in ("worker_died", "time_out", "memory"):
        return _last_line(reason).partition(": ")[2] or cause
    return "RQ could not read the job" if cause == "unreadable_job" else f"the job could not be run ({cause})"


def _last_line(reason: str) -> str:
    lines = [line for line in reason.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _aware(at: datetime | None) -> datetime | None:
    """RQ's times, some of which know no time zone."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
