"""Calls that hang: a system that does not answer has a few of a process' threads, and no more."""

from __future__ import annotations

import threading
import time

import pytest

from seamkeeper.errors import Postponed
from workers import flights
from workers.flights import FEW, Flights


class Calls:
    """Calls that hang until they are let go."""

    def __init__(self, found: Flights) -> None:
        self._flights, self._go = found, threading.Event()
        self._threads: list[threading.Thread] = []
        self.under_way = 0
        self.postponed = 0
        self._lock = threading.Lock()

    def start(self, number: int, system: str = "slow") -> None:
        """All at the same moment; returns when each is under way or was postponed."""
        known = self.under_way + self.postponed
        for _ in range(number):
            self._threads.append(threading.Thread(target=self._call, args=(system,)))
            self._threads[-1].start()
        while self.under_way + self.postponed < known + number:
            time.sleep(0.01)

    def _call(self, system: str) -> None:
        try:
            with self._flights.one(system):
                with self._lock:
                    self.under_way += 1
                self._go.wait(120)
        except Postponed:
            with self._lock:
                self.postponed += 1

    def end(self) -> None:
        self._go.set()
        for thread in self._threads:
            thread.join()


def test_a_system_that_does_not_answer_has_a_few_threads() -> None:
    """The others are postponed, after a quarter of a second for the first of them, later at once."""
    found = Flights()
    calls = Calls(found)
    calls.start(32)
    first = (calls.under_way, calls.postponed)
    with pytest.raises(Postponed) as caught, found.one("slow"):
        pass
    with found.one("another"):
        pass
    calls.end()

    assert first == (FEW, 32 - FEW)
    assert caught.value.delay is not None
    assert 1 < caught.value.delay.total_seconds() < 5
    with found.one("slow"):
        pass


def test_a_system_that_answers_has_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow each single answer is."""
    monkeypatch.setattr(flights, "_ANSWERS", 100.0)  # it answered lately, however slowly 32 threads begin
    found = Flights()
    calls = Calls(found)
    found.answered("slow")
    calls.start(32)
    calls.end()

    assert (calls.under_way, calls.postponed) == (32, 0)


def test_a_system_nobody_asked_lately_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst after a rest: the ninth call waits for the first answer instead of coming back in seconds."""
    monkeypatch.setattr(flights, "_PATIENCE", 100.0)
    found = Flights()
    calls = Calls(found)
    calls.start(FEW)
    late = threading.Thread(target=calls.start, args=(4,))
    late.start()
    time.sleep(0.05)
    before = calls.under_way

    monkeypatch.setattr(flights, "_ANSWERS", 100.0)  # the answer is of now, however slowly they wake
    found.answered("slow")
    late.join()
    calls.end()

    assert (before, calls.under_way, calls.postponed) == (FEW, FEW + 4, 0)
