"""When Svix tries again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import RetryClock
from simulator.schedule import JITTER, WAITS, next_wait


class _Middle(random.Random):
    """No jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_eight_attempts_over_a_day_and_a_bit() -> None:
    """0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h: 27 h 35 m 05 s in all (Svix, retry schedule)."""
    waits = [next_wait(attempt, _Middle()) for attempt in range(1, 9)]

    assert waits == [5, 300, 1800, 7200, 18000, 36000, 36000, None]
    assert sum(WAITS) == 27 * 3600 + 35 * 60 + 5


@given(st.integers(1, 7), st.integers())
def test_waits_are_jittered_by_a_fifth(attempt: int, seed: int) -> None:
    """No retry comes earlier or later than that."""
    wait = next_wait(attempt, random.Random(seed))

    assert wait is not None
    assert WAITS[attempt - 1] * (1 - JITTER) <= wait <= WAITS[attempt - 1] * (1 + JITTER)


def test_a_time_out_or_429_slows_down() -> None:
    """At least a minute then, where it would be five seconds."""
    assert next_wait(1, _Middle(), must_slow_down=True) == 60
    assert next_wait(2, _Middle(), must_slow_down=True) == 300


@pytest.mark.parametrize(("wish", "wait"), [(1, 300), (400, 400), (9000, 600)])
def test_retry_after_cannot_hurry_and_hardly_delays(wish: float, wait: float) -> None:
    """It is kept between one and two times the planned wait."""
    assert next_wait(2, _Middle(), retry_after=wish) == wait


def test_a_fast_clock_shortens_waits_that_have_begun() -> None:
    """An hour at a speed of an hour per millisecond is a millisecond."""
    clock = RetryClock()
    due = clock.now() + 3600

    assert clock.real_seconds_until(due) > 3590
    clock.speed = 3_600_000
    assert clock.real_seconds_until(due) < 0.0011
    with pytest.raises(ValueError, match="above 0"):
        clock.speed = 0
