"""Until when may this job wait? For code that sets time-outs, and for code that ignores them.

The deadline of the running job is a context variable: clients derive their time-outs from `remaining()`, which really
ends the waiting. What runs on regardless gets RQ's `JobTimeoutException` raised in its thread (this ends Python code,
not a blocking call of C), and is given up a while later (worker.py).
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rq.timeouts import TimerDeathPenalty

_deadline: ContextVar[float] = ContextVar("seamkeeper_deadline", default=math.inf)
_SHORTEST = 0.1  # seconds; a time-out of 0 or less is an error to most clients, or means "for ever"


@contextmanager
def until(at: float) -> Iterator[None]:
    """The code inside has to be done at this moment of the monotonic clock."""
    token = _deadline.set(at)
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(at_most: float) -> float:
    """Seconds until the deadline of the running job, but no more than `at_most`; outside of a job that."""
    return min(at_most, max(_deadline.get() - time.monotonic(), _SHORTEST))


def raise_in_thread(thread_id: int, kind: type[BaseException] | None) -> None:
    """Raises this when the thread executes Python code next; None takes back what was not raised yet."""
    waiting = ctypes.py_object(kind) if kind is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), waiting)


class ThreadPenalty(TimerDeathPenalty):
    """RQ's time-out of callbacks, for threads. RQ's own writes its message into the exception class that all share."""

    def __init__(self, timeout: int, exception: type[BaseException], **options: Any) -> None:
        kind = type(exception.__name__, (exception,), {})
        super().__init__(timeout, kind, **options)  # type: ignore[no-untyped-call]
