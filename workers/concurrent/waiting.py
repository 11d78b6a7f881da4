"""Waiting for work without taking it: one thread per queue, blocked in Redis, wakes the worker's loop.

`BLMOVE queue queue LEFT LEFT` moves the head of a queue onto itself: it returns when there is one, and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from redis.exceptions import RedisError

_LONGEST = 5  # seconds in one call; then the thread looks whether it is still wanted


class Waiter:
    """Calls `wake` once for each `arm`, when the queue is not empty."""

    def __init__(self, redis: Any, key: str, wake: Callable[[], None]) -> None:
        self._redis, self._key, self._wake = redis, key, wake
        self._is_armed, self._is_over = threading.Event(), threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"waits for {self._key}", daemon=True).start()

    def arm(self) -> None:
        """From now on the next job in the queue wakes the loop."""
        self._is_armed.set()

    def end(self) -> None:
        self._is_over.set()
        self._is_armed.set()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._is_armed.wait()
            if self._has_work() and not self._is_over.is_set():
                self._is_armed.clear()
                self._wake()

    def _has_work(self) -> bool:
        try:
            return self._redis.blmove(self._key, self._key, _LONGEST, "LEFT", "LEFT") is not None
        except RedisError:
            self._is_over.wait(1)  # the loop finds out by itself; here it is only not to be asked in a hurry
            return False
