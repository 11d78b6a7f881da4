"""To an event: a line in a CSV file for each door that was unlocked."""

import csv
import io
import os
from pathlib import Path

from workers.interface import Event, Toolbox


def write_into_the_door_book(event: Event, tools: Toolbox) -> None:
    """Appends time, door and event. One write per line: many of these may run at once. A worker that is killed at the
    wrong moment writes a line again; the event's id tells the double."""
    line = io.StringIO()
    csv.writer(line).writerow([event.occurred_at.isoformat(), event.subject("device_id"), event.event_id])
    with Path(os.environ["DOOR_BOOK"]).open("a", encoding="utf-8") as book:
        book.write(line.getvalue())
    tools.log.info("door_book.written", event_id=event.event_id)
