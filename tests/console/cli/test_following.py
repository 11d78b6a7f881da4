"""Who waits for a resync is told its outcome, also when the clock begins another one meanwhile."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from console.cli.following import Awaited, follow
from seamkeeper import clock, resyncs
from seamkeeper.queues import Queues


@pytest.fixture
def awaited() -> Awaited:
    """The first pass of one access system."""
    return Awaited(frozenset(), {"s1": 1}, {})


def test_it_is_over_when_its_outcome_is_known(engine: Engine, queues: Queues, awaited: Awaited) -> None:
    """A later pass under way has not failed and is not well: the wait goes on until it can be told."""
    _change(engine, number=1, began_at=clock.now(), ended_at=clock.now(), outcome="ok")
    [first] = follow(engine, queues, awaited, patience=30)
    assert (first.is_over, first.systems[0].outcome) == (True, "ok")

    _change(engine, number=2, began_at=clock.now(), ended_at=None, outcome=None)
    watching = follow(engine, queues, awaited, patience=30)
    assert not next(watching).is_over

    _change(engine, ended_at=clock.now(), outcome="too_many_missing")
    last = list(watching)[-1]
    assert (last.is_over, last.systems[0].outcome) == (True, "too_many_missing")


def test_a_pass_that_nobody_begins_is_given_up(engine: Engine, queues: Queues, awaited: Awaited) -> None:
    """After the time in which nothing moved; it was never over."""
    seen = list(follow(engine, queues, awaited, patience=0.1))

    assert not any(each.is_over for each in seen)


def _change(engine: Engine, **values: object) -> None:
    with engine.begin() as connection:
        resyncs.change(connection, "s1", **values)
