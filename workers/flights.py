"""Do the calls about one access system come back? A system whose calls hang must not take all threads of a process.

Within this process only, and before the circuit knows (workers/circuit.py): it needs calls that have failed, and one
that hangs fails after SEAMKEEPER_SEAM_TIMEOUT_SECONDS.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from seamkeeper.errors import Postponed

FEW = 8  # calls at once about a system that does not answer: a quarter of the 32 threads of a worker process
_ANSWERS = 1.0  # seconds: who answered within them may have as many calls as there are threads
_PATIENCE = 0.25  # seconds that a call waits for the first answer of a system nobody has asked lately


@dataclass(slots=True)
class _System:
    began: dict[object, float] = field(default_factory=dict)
    answered_at: float = 0.0


class Flights:
    """The calls that are under way."""

    def __init__(self) -> None:
        self._systems: dict[str, _System] = {}
        self._changed = threading.Condition()

    @contextmanager
    def one(self, acs_system_id: str) -> Iterator[None]:
        """One call about this system. Raises `Postponed` before it while several others got no answer."""
        mark = object()
        with self._changed:
            system = self._systems.setdefault(acs_system_id, _System())
            while len(system.began) >= FEW and time.monotonic() - system.answered_at > _ANSWERS:
                patience = min(system.began.values()) + _PATIENCE - time.monotonic()
                if patience <= 0:
                    delay = timedelta(seconds=random.uniform(2, 4))  # noqa: S311 (spreading load, not a secret)
                    raise Postponed(f"{FEW} calls about the access system {acs_system_id} hang", delay=delay)
                self._changed.wait(patience)
            system.began[mark] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del system.began[mark]
                self._changed.notify_all()

    def answered(self, acs_system_id: str) -> None:
        """An answer came, whatever it says."""
        with self._changed:
            system = self._systems.setdefault(acs_system_id, _System())
            system.answered_at = time.monotonic()
            self._changed.notify_all()
