"""T18, back-off: monotone, clamped, jittered within a fifth, never below Retry-After; and whose tries it costs."""

from __future__ import annotations

import math
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rq import Retry

from seamkeeper import settings
from seamkeeper.errors import Parked, Permanent, Postponed, Temporary
from seamkeeper.rqjob import jittered
from workers import failures
from workers.failures import Fate, by_rq, delay_after, postponable, postponed_for

DELAYS = settings.Settings().retry_delays
LADDERS = st.lists(st.integers(min_value=1, max_value=86_400), min_size=1, max_size=12).map(sorted)
ASKED = st.none() | st.floats(min_value=0.001, max_value=10_000).map(lambda seconds: timedelta(seconds=seconds))


def judged(monkeypatch: pytest.MonkeyPatch, error: Exception, *, left: int) -> tuple[Fate, Any]:
    """What a failure of a job leads to, and RQ's job as it was left."""
    job = SimpleNamespace(retries_left=left, retry_intervals=None)
    monkeypatch.setattr(failures, "get_current_job", lambda: job)
    tools: Any = SimpleNamespace(settings=settings.Settings())
    return by_rq(tools, error), job


@given(st.integers(min_value=1, max_value=1_000_000))
def test_jitter_stays_within_a_fifth(seconds: int) -> None:
    """Exactly, in whole seconds."""
    assert math.ceil(seconds * 0.8) <= jittered(seconds) <= max(1, math.floor(seconds * 1.2))


@given(LADDERS, ASKED, st.data())
def test_a_delay_is_its_step_within_a_fifth_or_what_the_other_side_asked_for(
    ladder: list[int], asked: timedelta | None, data: st.DataObject
) -> None:
    """Never below Retry-After; never above the longest step and a fifth, unless asked for more."""
    number = data.draw(st.integers(min_value=1, max_value=len(ladder)))

    delay = delay_after(number, ladder, asked)

    assert delay is not None
    floor, seconds = asked or timedelta(), delay.total_seconds()
    assert delay >= floor
    assert delay >= timedelta(seconds=ladder[number - 1] * 0.8)
    assert seconds <= max(ladder[-1] * 1.2, floor.total_seconds() + 2)
    assert seconds <= max(ladder[number - 1] * 1.2, floor.total_seconds() + 2)


@given(LADDERS, ASKED)
def test_back_off_is_monotone(ladder: list[int], asked: timedelta | None) -> None:
    """The range of each delay lies no lower than the range before it; after the last one there is none."""
    tries = range(1, len(ladder) + 1)

    with pytest.MonkeyPatch.context() as patched:
        for bound in (lambda low, high: low, lambda low, high: high):  # the shortest and the longest jitter
            patched.setattr("seamkeeper.rqjob.random.randint", bound)
            delays = [delay_after(number, ladder, asked) or timedelta() for number in tries]
            assert delays == sorted(delays)
    assert delay_after(len(ladder) + 1, ladder, asked) is None


def test_with_our_delays_each_is_longer_than_the_one_before() -> None:
    """Whatever the jitter: the steps are wider than it."""
    delays = [delay_after(number, DELAYS) or timedelta() for number in range(1, len(DELAYS) + 1)]

    assert delays == sorted(set(delays))


@given(st.floats(min_value=0, max_value=10_000))
def test_what_was_postponed_comes_no_sooner_than_it_may(seconds: float) -> None:
    """And at most a fifth later, so that not all come together."""
    delay = postponed_for(Postponed("our own limit", delay=timedelta(seconds=seconds))).total_seconds()

    assert max(seconds, 1) <= delay <= max(1, math.ceil(seconds * 1.2))


@pytest.mark.parametrize("asked", [0, 7, 10_000])
@pytest.mark.parametrize("left", range(1, len(DELAYS) + 1))
def test_rq_is_told_the_same_delay(monkeypatch: pytest.MonkeyPatch, left: int, asked: int) -> None:
    """For jobs that RQ retries: all but a user's reconcile."""
    fate, job = judged(monkeypatch, Temporary("429", delay=timedelta(seconds=asked)), left=left)

    assert (fate.outcome, fate.is_raised, len(set(job.retry_intervals))) == ("retry", True, 1)
    assert job.retry_intervals[0] >= max(asked, DELAYS[len(DELAYS) - left] * 0.8)


def test_a_permanent_error_takes_the_tries_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead at once."""
    fate, job = judged(monkeypatch, Permanent("400"), left=5)

    assert (fate.outcome, fate.next_at, job.retries_left) == ("dead", None, 0)


def test_without_tries_left_it_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ puts it into the failed registry."""
    assert judged(monkeypatch, Temporary("503"), left=0)[0].outcome == "dead"


@pytest.mark.parametrize("kind", [Postponed, Parked])
def test_what_was_postponed_costs_no_try(monkeypatch: pytest.MonkeyPatch, kind: type[Postponed]) -> None:
    """RQ is given a `Retry` as the value of the job, which is no failure."""

    @postponable
    def job() -> None:
        error = kind("the bucket is empty", delay=timedelta(seconds=7))
        told.append(judged(monkeypatch, error, left=3))
        raise error

    told: list[tuple[Fate, Any]] = []
    value = job()

    fate, rq_job = told[0]
    assert (fate.outcome, rq_job.retries_left, rq_job.retry_intervals) == ("postponed", 3, None)
    assert isinstance(value, Retry)
    assert 7 <= value.intervals[0] <= 9
