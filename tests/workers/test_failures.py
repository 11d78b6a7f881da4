"""Back-off: monotone, jittered within a fifth, never shorter than Retry-After."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seamkeeper import settings
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.queues import jittered
from workers.failures import _judge

DELAYS = settings.Settings().retry_delays


def judge(error: Exception, *, left: int) -> tuple[timedelta | None, Any]:
    """The delay, and RQ's job as it was left."""
    job = SimpleNamespace(retries_left=left, retry_intervals=None)
    tools: Any = SimpleNamespace(settings=settings.Settings())
    return _judge(tools, job, error), job


@given(st.integers(min_value=1, max_value=86_400))
def test_jitter_stays_within_a_fifth(seconds: int) -> None:
    """And is at least a second."""
    assert max(1, round(seconds * 0.8)) <= jittered(seconds) <= max(1, round(seconds * 1.2))


@given(st.integers(min_value=1, max_value=len(DELAYS)), st.integers(min_value=0, max_value=10_000))
def test_the_delay_is_never_below_what_the_other_side_asked_for(left: int, asked: int) -> None:
    """And RQ is told the same number."""
    delay, job = judge(Temporary("429", delay=timedelta(seconds=asked)), left=left)

    assert delay is not None
    assert delay >= timedelta(seconds=asked)
    assert set(job.retry_intervals) == {delay.total_seconds()}


def test_each_delay_is_longer_than_the_one_before() -> None:
    """Whatever the jitter: the steps are wider than it."""
    delays = [judge(Temporary("503"), left=left)[0] for left in range(len(DELAYS), 0, -1)]

    assert delays == sorted(delays, key=lambda delay: delay or timedelta())


def test_a_permanent_error_takes_the_tries_away() -> None:
    """Dead at once."""
    delay, job = judge(Permanent("400"), left=5)

    assert (delay, job.retries_left) == (None, 0)


def test_without_tries_left_it_is_dead() -> None:
    """RQ puts it into the failed registry."""
    assert judge(Temporary("503"), left=0)[0] is None
