"""Asking the workers for looks at users and waiting until these are over; nothing is left behind by who stops."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from console.cli import output

if TYPE_CHECKING:
    from seamkeeper.queues import Queues

_LOOK = 0.2  # seconds
_AT_ONCE = 200  # asks that wait in the queue: who stops here takes them back


def looks(queues: Queues, asks: Mapping[str, str], *, why: str, patience: float) -> Iterator[str]:
    """Asks for a look in its mode at each user (acs_user_id -> mode) and gives each whose look is over, well or not.

    Ends when all are over, or when none ended for `patience` seconds; what was asked for and not begun is taken back
    then, and so it is when the caller stops.
    """
    to_ask, waiting, last = deque(asks.items()), dict[str, str](), time.monotonic()
    try:
        while to_ask or waiting:
            while to_ask and len(waiting) < _AT_ONCE:
                acs_user_id, mode = to_ask.popleft()
                waiting[acs_user_id] = mode
                queues.ask_reconcile(acs_user_id, why=why, source="operator", mode=mode)
            over = set(waiting) - queues.still_asked(waiting)
            if over:
                last = time.monotonic()
            elif time.monotonic() - last > patience:
                return
            else:
                time.sleep(_LOOK)
            for acs_user_id in over:
                del waiting[acs_user_id]
            yield from sorted(over)
    finally:
        for acs_user_id, mode in waiting.items():
            queues.take_back(acs_user_id, mode)


def with_progress(found: Iterable[str], *, total: int, title: str) -> list[str]:
    """All of them, shown as they come where somebody looks."""
    if not sys.stderr.isatty():
        return list(found)
    from rich.console import Console
    from rich.progress import track

    return list(track(found, title, total=total, console=Console(stderr=True), transient=True))


def say_no_worker(number: int, patience: float) -> None:
    """A clear word for the likeliest reason."""
    people = "1 user" if number == 1 else f"{number} users"
    output.say(f"No answer about {people} within {patience:g} s. Does a worker run? Is it busy: --timeout.")
