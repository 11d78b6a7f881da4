"""What was asked of Seam during one try of a job: method, path, status, milliseconds, request id; never a value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

CALLED = "seam.called"  # the line of the log that says the same
_MOST = 50  # of one try; a resync makes more, and the first ones tell how it went

Call = dict[str, Any]
_noted: ContextVar[list[Call] | None] = ContextVar("calls_of_a_try", default=None)


@contextmanager
def noted() -> Iterator[list[Call]]:
    """Calls of this thread until the end of the block; those of a try within it are its own."""
    calls: list[Call] = []
    token = _noted.set(calls)
    try:
        yield calls
    finally:
        _noted.reset(token)


def note(method: str, path: str, *, status: int | None, took: float, request_id: str | None) -> None:
    """One call that was made; `status` is None when nobody answered."""
    calls = _noted.get()
    if calls is not None and len(calls) < _MOST:
        ms = round(took * 1000)
        calls.append({"method": method, "path": path, "status": status, "ms": ms, "request_id": request_id})
