"""What runs by the clock, and what could stop it."""

from __future__ import annotations

import threading
from datetime import timedelta

from redis import Redis

from seamkeeper import clock
from seamkeeper.keys import Keys
from seamkeeper.queues import BACKFILL, EVENTS, Queues
from seamkeeper.schedules import Schedules
from seamkeeper.settings import Settings
from tests.stack import eventually
from workers import schedule

KEYS = Keys()


def test_a_job_that_rq_cannot_read_does_not_stop_the_others(queues: Queues, redis: Redis, redis_url: str) -> None:
    """It is set aside for a while; who was due beside it is in the queue."""
    asked = queues.ask_reconcile("u1", why="later", source="test", delay=timedelta(seconds=1))
    for name in ("events", "reconcile"):
        redis.hset(KEYS.job(f"broken-{name}"), "status", "scheduled")
        redis.zadd(KEYS.scheduled(name), {f"broken-{name}": 100})
    stop = threading.Event()
    thread = threading.Thread(target=schedule.run, args=(Settings(redis_url=redis_url), stop))

    thread.start()
    try:
        eventually(lambda: redis.lpos(KEYS.queue("reconcile"), asked) is not None, what="the look")
    finally:
        stop.set()
        thread.join()

    for name in ("events", "reconcile"):
        assert redis.zscore(KEYS.scheduled(name), f"broken-{name}") is None
    assert redis.ttl(KEYS.job("broken-events")) > 86400


def test_a_start_of_the_scheduler_brings_a_backfill_at_once(queues: Queues, redis: Redis, redis_url: str) -> None:
    """Also when the last one was a minute ago: nobody knows what was missed meanwhile."""
    schedules = Schedules(queues)
    schedules.began("backfill")
    schedules.plan("backfill", BACKFILL, EVENTS, every=timedelta(minutes=10))
    stop = threading.Event()
    thread = threading.Thread(target=schedule.run, args=(Settings(redis_url=redis_url), stop))

    thread.start()
    try:
        eventually(lambda: redis.llen(KEYS.queue("events")) == 1, what="the backfill")
    finally:
        stop.set()
        thread.join()

    [planned] = [each for each in schedules.all() if each.name == "backfill"]
    assert planned.due_at is not None
    assert planned.due_at <= clock.now()
