"""The live tail of `seamkeeper dev`: one line per event, and what it led to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from console.cli.output import printable
from seamkeeper import clock, database, desired, history, journal

_COLOURS = {"done": "green", "ignored": "bright_black", "dead": "red", "quarantined": "red"}
_CHANGES = {"acs_user.drifted": "yellow", "acs_user.in_sync": "green", "acs_user.vanished": "magenta"}

_LATE = timedelta(seconds=5)
_MANY = 200


class Tail:
    """Reads what is new since it began, each time it is asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._since = clock.now()
        self._told: set[tuple[str, datetime]] = set()
        with database.reading(engine) as connection:
            self._change_id, self._action_id = history.last_numbers(connection)

    def lines(self) -> Iterator[tuple[str, str | None]]:
        """(text, colour) of everything new, in the order in which it happened."""
        with database.reading(self._engine) as connection:
            events = self._settled(connection)
            found = history.lines_after(connection, self._change_id, self._action_id)
        for line in found:
            self._change_id = max(self._change_id, line.get("change_id", 0))
            self._action_id = max(self._action_id, line.get("action_id", 0))
        told = [(event["settled_at"], _of_event(event)) for event in events]
        told += [(line["at"], _of_line(line)) for line in found]
        yield from (text for _, text in sorted(told, key=lambda pair: pair[0]))

    def _settled(self, connection: Connection) -> list[dict[str, Any]]:
        """What is settled and was not told yet. It is looked for a little further back than what was told last: of
        two workers the one with the earlier time may commit later."""
        found = journal.settled_after(connection, self._since, limit=_MANY)
        told, self._told = self._told, {(event["event_id"], event["settled_at"]) for event in found}
        if found:
            newest = found[-1]["settled_at"]
            self._since = newest if len(found) == _MANY else max(self._since, newest - _LATE)
        return [event for event in found if (event["event_id"], event["settled_at"]) not in told]


def adopt_newcomers(engine: Engine) -> list[str]:
    """For the simulated building only: takes everybody as they are first seen for the desired state, so that an edit
    at the provider is drift and can be seen to be repaired. Gives their ids."""
    with database.reading(engine) as connection:
        newcomers = desired.ids_to_adopt(connection, only_unmanaged=True)
    for acs_user_id in newcomers:
        with engine.begin() as connection:
            desired.adopt(connection, acs_user_id, by="dev")
    return newcomers


def _of_event(event: dict[str, Any]) -> tuple[str, str | None]:
    took = round((event["settled_at"] - event["received_at"]).total_seconds() * 1000)
    about = event["acs_user_id"] or event["acs_system_id"] or ""
    text = f"{_time(event['settled_at'])}  {event['status']:<9} {event['event_type']:<26} {about[:8]:<9} {took} ms"
    if event["reason"]:
        text += f"  {event['reason']}"
    return printable(text), _COLOURS.get(event["status"])


def _of_line(line: dict[str, Any]) -> tuple[str, str | None]:
    detail = line["detail"] or {}
    what = line["what"]
    about = ", ".join(detail.get("fields", ())) or detail.get("code", "")
    colour = _CHANGES.get(what, "cyan" if what.startswith("repair") else None)
    return printable(f"{_time(line['at'])}    {what:<34} {line['acs_user_id'][:8]:<9} {about}"), colour


def _time(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")
