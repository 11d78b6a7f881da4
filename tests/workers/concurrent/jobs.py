"""The jobs these tests run: module-level functions, so that every worker finds them by name."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Any

from redis import Redis
from rq import Retry, get_current_job


def nothing() -> None:
    """No result."""


def echo(value: Any) -> Any:
    """A result."""
    return value


def fail() -> None:
    """Raises."""
    raise ValueError("as it was told")


def again() -> Retry:
    """RQ's "come again later"."""
    return Retry(max=1)


def who_am_i(seconds: float = 0.0) -> list[str]:
    """RQ's current job before and after waiting."""
    before = get_current_job()
    time.sleep(seconds)
    after = get_current_job()
    return [before.id if before else "", after.id if after else ""]


MEETING = threading.Barrier(16)


def meet() -> list[str]:
    """RQ's current job before and after all the others are here, too; raises when they do not come."""
    before = get_current_job()
    MEETING.wait(timeout=60)
    after = get_current_job()
    return [before.id if before else "", after.id if after else ""]


def count(url: str, name: str, seconds: float = 0.02) -> None:
    """Takes a while, then says that it was done."""
    time.sleep(seconds)
    with Redis.from_url(url) as redis:
        redis.hincrby("done", name, 1)


def wait_for(url: str, key: str) -> None:
    """Until somebody writes this key: a job that runs exactly as long as a test needs it to."""
    with Redis.from_url(url) as redis:
        while not redis.exists(key):
            time.sleep(0.05)


def count_together(url: str, name: str, parties: int) -> None:
    """As `count`, when so many of these run at once; raises when they do not come."""
    with Redis.from_url(url) as redis:
        redis.incr("here")
        until = time.monotonic() + 120
        while int(redis.get("here") or 0) < parties:
            if time.monotonic() > until:
                raise TimeoutError(f"{name} waited alone")
            time.sleep(0.02)
        redis.hincrby("done", name, 1)


def spin(seconds: float) -> None:
    """Python code that ignores every time-out."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(100))


def hang(seconds: float) -> None:
    """A blocking call of C."""
    time.sleep(seconds)


def eat(seconds: float = 0.0) -> None:
    """Memory, 40 MiB every tenth of a second, until somebody ends it; no more than a machine of ours has."""
    time.sleep(seconds)
    eaten = []
    while len(eaten) < 40:
        eaten.append(b"x" * (40 << 20))
        time.sleep(0.1)
    time.sleep(60)


def end_the_process(seconds: float = 0.0) -> None:
    """Without a word."""
    time.sleep(seconds)
    os._exit(3)


def crash() -> None:
    """A segmentation fault."""
    ctypes.string_at(0)
