"""What comes by the clock: one at a time, no pile-up, and nothing forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from redis import Redis

from seamkeeper import clock
from seamkeeper.keys import Keys
from seamkeeper.queues import EVENTS, Queues
from seamkeeper.schedules import WORDS, Schedules
from workers.schedules import SCHEDULES

HOURLY = timedelta(hours=1)


@pytest.fixture
def schedules(queues: Queues) -> Schedules:
    """On the empty Redis."""
    return Schedules(queues)


def waiting(redis: Redis) -> list[tuple[str, float]]:
    """Job ids in RQ's scheduled registry, with when they are due."""
    return [(name.decode(), due) for name, due in redis.zrange(Keys().scheduled(EVENTS), 0, -1, withscores=True)]


def test_the_first_run_comes_at_once(schedules: Schedules, redis: Redis) -> None:
    """As a job of RQ's own, in its scheduled registry."""
    assert schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    [(job_id, due)] = waiting(redis)
    assert due <= clock.now().timestamp()
    assert redis.hget(Keys().job(job_id), "status") == b"scheduled"


def test_however_often_it_is_planned_one_waits(schedules: Schedules, redis: Redis) -> None:
    """Many schedulers, or one that asks each second."""
    planned = [schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY) for _ in range(20)]

    assert sum(planned) == 1
    assert len(waiting(redis)) == 1


@pytest.mark.parametrize("status", ["queued", "started"])
def test_none_is_planned_beside_one_that_waits_or_runs(schedules: Schedules, redis: Redis, status: str) -> None:
    """So two never run at once."""
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)
    [(job_id, _)] = waiting(redis)
    redis.zrem(Keys().scheduled(EVENTS), job_id)
    redis.hset(Keys().job(job_id), "status", status)
    redis.zadd(Keys().executions(job_id), {"an execution": 1})

    assert not schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)


@pytest.mark.parametrize("status", ["finished", "failed", "stopped", None], ids=str)
def test_after_its_end_the_next_comes_an_interval_after_its_beginning(
    schedules: Schedules, redis: Redis, status: str | None
) -> None:
    """However it ended, and also when its hash was lost."""
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)
    _end(redis, status)
    schedules.began("tidy")

    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    [(_, due)] = waiting(redis)
    assert due == pytest.approx(clock.now().timestamp() + 3600, abs=60)


def test_many_missed_runs_are_made_up_for_once(schedules: Schedules, redis: Redis) -> None:
    """After a week without a scheduler one run comes at once, not 168."""
    redis.hset(Keys().clock(), "tidy.began", clock.now().timestamp() - 7 * 86400)

    for _ in range(5):
        schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    [(_, due)] = waiting(redis)
    assert due == pytest.approx(clock.now().timestamp(), abs=60)


def test_a_clock_that_was_set_back_does_not_stop_it(schedules: Schedules, redis: Redis) -> None:
    """A beginning in the future is none."""
    redis.hset(Keys().clock(), "tidy.began", clock.now().timestamp() + 7 * 86400)

    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    assert waiting(redis)[0][1] <= clock.now().timestamp()


def test_the_long_wait_of_a_retry_does_not_hold_it_up(schedules: Schedules, redis: Redis) -> None:
    """After an outage the next run comes within its interval, not when RQ's back-off has passed."""
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY / 6)
    [(job_id, _)] = waiting(redis)
    schedules.began("tidy")
    redis.zadd(Keys().scheduled(EVENTS), {job_id: clock.now().timestamp() + 3600})

    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY / 6)

    assert waiting(redis) == [(job_id, pytest.approx(clock.now().timestamp() + 600, abs=60))]


def test_a_clock_that_was_set_back_does_not_leave_it_waiting(schedules: Schedules, redis: Redis) -> None:
    """One that was planned by the clock of then comes an interval from now."""
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)
    [(job_id, _)] = waiting(redis)
    later = clock.now().timestamp() + 7 * 86400
    redis.hset(Keys().clock(), "tidy.began", later - 3600)
    redis.zadd(Keys().scheduled(EVENTS), {job_id: later})

    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    assert waiting(redis)[0][1] <= clock.now().timestamp() + 3601


def test_hurry_brings_the_one_that_waits_forward(schedules: Schedules, redis: Redis) -> None:
    """It does not add another."""
    schedules.began("tidy")
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    schedules.hurry("tidy")

    [(_, due)] = waiting(redis)
    assert due <= clock.now().timestamp()


def test_hurry_beside_a_run_leads_to_one_more_at_once(schedules: Schedules, redis: Redis) -> None:
    """What the run has passed already would be missed else."""
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)
    [(job_id, _)] = waiting(redis)
    redis.zrem(Keys().scheduled(EVENTS), job_id)
    redis.hset(Keys().job(job_id), "status", "started")
    redis.zadd(Keys().executions(job_id), {"an execution": 1})
    schedules.began("tidy")
    schedules.hurry("tidy")
    redis.hset(Keys().job(job_id), "status", "finished")

    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)

    [(_, due)] = waiting(redis)
    assert due <= clock.now().timestamp()


def test_last_and_next_run_can_be_seen(schedules: Schedules) -> None:
    """By people and by /metrics."""
    schedules.plan("tidy", "workers.jobs.tidy", EVENTS, every=HOURLY)
    schedules.began("tidy")
    [running] = schedules.all()
    schedules.ended("tidy", "ok")
    [over] = schedules.all()

    assert (running.name, running.every, running.is_running) == ("tidy", HOURLY, True)
    assert (over.is_running, over.outcome) == (False, "ok")
    assert over.due_at is not None
    assert over.ended_at is not None


def _end(redis: Redis, status: str | None) -> None:
    [(job_id, _)] = waiting(redis)
    redis.zrem(Keys().scheduled(EVENTS), job_id)
    if status:
        redis.hset(Keys().job(job_id), "status", status)
    else:
        redis.delete(Keys().job(job_id))


def test_every_schedule_has_words_for_people() -> None:
    """On the page of queues."""
    assert {each.name for each in SCHEDULES} <= set(WORDS)
