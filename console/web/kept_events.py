"""An event whose job a person cancelled or deleted is kept: among the dead letters, from where it can be replayed.

Else it would be lost: Redis remembers it as seen, and no delivery or backfill would bring it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job
from sqlalchemy import Connection

from seamkeeper import clock, dead, journal
from seamkeeper.dead import Failure, Subject
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import Event, read_event
from seamkeeper.journal import Arrival
from seamkeeper.queues import HANDLE_EVENT, KEEP_UNREADABLE

CAUSE = "cancelled"


def keep_cancelled(connection: Connection, job: Job, *, by: str) -> None:
    """Its row and its dead letter (of a body that is no event: its row); nothing for a job that carries no event."""
    _keep(connection, job, f"Its job was cancelled by {by}.", is_known_left=False)


def keep_deleted(connection: Connection, job: Job, *, by: str) -> None:
    """The same, unless the journal has the event: a job can fail for good with the database away, and is the only copy
    of the body then."""
    _keep(connection, job, f"Its job was deleted by {by}.", is_known_left=True)


def _keep(connection: Connection, job: Job, reason: str, *, is_known_left: bool) -> None:
    try:
        function, told = job.func_name, job.kwargs
    except DeserializationError:
        return
    body = str(told.get("body", ""))
    if function == KEEP_UNREADABLE:
        name, why = str(told.get("name", job.id)), str(told.get("reason", ""))
        journal.write_unreadable(connection, name, body, why, _arrival(told))
    elif function == HANDLE_EVENT:
        try:
            event = read_event(body)
        except UnreadableEvent:
            return
        is_known = journal.subjects_of(connection, event.event_id) is not None
        if not (is_known and is_known_left):
            _bury(connection, event, job, told, reason, is_known=is_known)


def _bury(
    connection: Connection, event: Event, job: Job, told: Mapping[str, Any], reason: str, *, is_known: bool
) -> None:
    if not is_known:
        journal.write_event(connection, event, str(told["body"]), _arrival(told))
    journal.settle(connection, event.event_id, "dead", reason=reason, cause=CAUSE)
    whom = event.subject("acs_user_id"), event.subject("acs_system_id")
    about = Subject("event", event.event_id, "handle_event", event.event_type, *whom)
    dead.write(connection, about, Failure(reason, CAUSE), tries=job.number_of_retries or 0)


def _arrival(told: Mapping[str, Any]) -> Arrival:
    at = told.get("received_at")
    received_at = clock.parse(at) if isinstance(at, str) else clock.now()
    return Arrival(received_at, str(told.get("source", "webhook")), str(told.get("delivery_id", "")))
