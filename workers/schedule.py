"""What runs by the clock: retries and later looks that are due, and the schedules. Any number may run, one acts.

RQ's own scheduler (`RQScheduler`) does the work and holds RQ's lock; it is driven from here because it looks for a
lock that became free only every ten minutes, and leaves its loop when Redis goes away.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job
from rq.scheduler import RQScheduler
from rq.serializers import JSONSerializer

from seamkeeper import logs, settings
from seamkeeper.keys import Keys
from seamkeeper.queues import EVENTS, QUEUES, Queues
from seamkeeper.rqjob import Terms
from seamkeeper.schedules import Schedules
from workers.schedules import plan_all
from workers.tools import make_tools
from workers.watchdog import Watchdog

_TICK = 1.0  # seconds
_TRY_LOCKS = 5.0  # seconds between tries for locks that another scheduler holds (they live 61 s after its last tick)
_LONGEST_MAINTENANCE = 60  # seconds; RQ's lock on it lives 899, which a killed worker would leave for 15 minutes
_MAINTENANCE_LOCK_LIVES = 899
_UNREADABLE_KEPT = 30 * 86400  # seconds


def run(told: settings.Settings, stop: threading.Event, watchdog: Watchdog | None = None) -> None:
    """Ticks until told to stop; the `watchdog` looks after Redis with each tick of the one that acts."""
    log = logs.get()
    redis = Redis.from_url(told.redis_url, socket_timeout=10, socket_connect_timeout=5)
    queues = Queues(redis, keys=Keys(told.redis_key_prefix), terms=Terms(told.job_timeout, told.retry_delays))
    scheduler = _new_scheduler(redis)
    is_away, is_new, tried_at = False, True, 0.0
    while not stop.is_set():
        try:
            if time.monotonic() - tried_at > _TRY_LOCKS:
                _take_locks(scheduler)
                _drop_stale_maintenance_locks(redis)
                if EVENTS in scheduler.acquired_locks:  # one acts
                    plan_all(queues, told)
                    if is_new:  # nobody knows what was missed meanwhile
                        Schedules(queues).hurry("backfill")
                    is_new = False
                tried_at = time.monotonic()
            if watchdog and EVENTS in scheduler.acquired_locks:
                watchdog.look()
            scheduler.heartbeat()
            _enqueue(scheduler, redis)
            if is_away:
                log.info("scheduler.redis_is_back")
            is_away = False
        except RedisError as error:
            if not is_away:
                log.warning("scheduler.redis_is_away", error=type(error).__name__)
            is_away, is_new, tried_at = True, True, 0.0
        stop.wait(_TICK)
    try:
        scheduler.stop()
    except RedisError:
        log.warning("scheduler.redis_is_away")


def _new_scheduler(redis: Any) -> Any:
    name = f"{socket.gethostname()}-{os.getpid()}"
    scheduler = RQScheduler(QUEUES, redis, interval=1, logging_level="WARNING", serializer=JSONSerializer, name=name)
    scheduler.pid = os.getpid()
    return scheduler


def _enqueue(scheduler: Any, redis: Any) -> None:
    """RQ reads all jobs that are due before it moves one of them: a hash that it cannot read would stop them all."""
    try:
        scheduler.enqueue_scheduled_jobs()
    except RedisError:
        raise
    except Exception as error:
        logs.get().warning("scheduler.stumbled", error=type(error).__name__)
        for name in QUEUES:
            _set_unreadable_aside(redis, Queue(name, connection=redis, serializer=JSONSerializer))


def _set_unreadable_aside(redis: Any, queue: Any) -> None:
    """Out of what is due: it cannot run. RQ's own tools stumble over it in any registry, so none holds it; the log
    names its hash, which stays for a while."""
    for job_id in queue.scheduled_job_registry.get_jobs_to_schedule():
        try:
            Job.fetch_many([job_id], connection=redis, serializer=JSONSerializer)
        except RedisError:
            raise
        except Exception as error:
            with redis.pipeline() as pipeline:
                pipeline.expire(Job.key_for(job_id), _UNREADABLE_KEPT)
                pipeline.zrem(queue.scheduled_job_registry.key, job_id)
                pipeline.execute()
            logs.get().error("scheduler.job_unreadable", job_id=job_id, error=type(error).__name__)


def _take_locks(scheduler: Any) -> None:
    scheduler.register_birth()
    if scheduler.acquired_locks != set(QUEUES):
        scheduler.acquire_locks()


def _drop_stale_maintenance_locks(redis: Any) -> None:
    """A worker that was killed during maintenance leaves RQ's lock behind: nobody would look after abandoned jobs."""
    for name in QUEUES:
        key = Queue(name, connection=redis).registry_cleaning_key
        age = _MAINTENANCE_LOCK_LIVES - redis.ttl(key)
        if _LONGEST_MAINTENANCE < age <= _MAINTENANCE_LOCK_LIVES:
            redis.delete(key)


def main() -> int:
    """The scheduler as a process; SIGTERM and SIGINT end it."""
    told = settings.load()
    logs.configure(told.log_format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    logs.get().info("scheduler.started")
    run(told, stop, Watchdog(make_tools(told)))
    logs.get().info("scheduler.stopped")
    return 0
