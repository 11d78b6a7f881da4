"""Putting accepted events into Redis: dedupe and enqueue in one atomic round trip, many requests to a trip.

Requests that arrive while a trip is under way travel together in the next one. A trip may be repeated: the script
looks before it pushes, so an event whose answer was lost is found as seen, and is in the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from seamkeeper import clock, logs
from seamkeeper.accept import ACCEPT, accept_call
from seamkeeper.keys import Keys
from seamkeeper.queues import EVENTS
from seamkeeper.rqjob import Job, Terms, flatten
from seamkeeper.settings import Settings

_log = logs.get()
_MOST_IN_A_TRIP = 128
_MOST_WAITING = 10_000
_ACCEPT_SHA = hashlib.sha1(ACCEPT.encode()).hexdigest()  # noqa: S324 (how Redis names scripts)
_PAUSE = 0.05  # seconds between tries while Redis is away
_UNREACHABLE = (RedisError, OSError, asyncio.TimeoutError)


class NotStored(Exception):
    """Redis did not take the event in time: the sender must try again."""


@dataclass(eq=False, slots=True)
class _Waiting:
    name: str
    job: Job
    deadline: float
    answer: asyncio.Future[bool]


class Intake:
    """The way into the queue. `take` from any number of requests at once; `run` is its one background task."""

    def __init__(self, redis: Any, settings: Settings) -> None:
        self._redis = redis
        self._keys = Keys(settings.redis_key_prefix)
        self._common = flatten(Terms(settings.job_timeout, settings.retry_delays).fields(EVENTS))
        self._dedupe = settings.dedupe
        self._patience = settings.redis_wait.total_seconds()
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    async def take(self, name: str, job: Job) -> bool:
        """True when the event was new and its job is queued, False when it was seen before.

        Raises `NotStored` when Redis did not say so within the patience of the settings.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise NotStored("too many requests wait for Redis")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(name, job, loop.time() + self._patience, loop.create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def run(self) -> None:
        """Makes one trip after the other, for as long as the process lives."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                count = min(len(self._waiting), _MOST_IN_A_TRIP)
                batch = [self._waiting.popleft() for _ in range(count)]
                try:
                    await self._deliver(batch)
                except Exception:  # were this task to end, every later request would wait for ever
                    _log.exception("intake.failed")
                    _refuse(batch)

    async def _deliver(self, batch: Sequence[_Waiting]) -> None:
        """Tries until Redis took the batch; who has waited too long is told so and left out of the next try."""
        loop = asyncio.get_running_loop()
        while batch := _still_waiting(batch, loop.time()):
            try:
                async with asyncio.timeout_at(min(waiting.deadline for waiting in batch)):
                    answers = await self._trip(batch)
            except _UNREACHABLE:
                await self._hang_up()
                await asyncio.sleep(_PAUSE)
            else:
                _answer(batch, answers)
                return

    async def _hang_up(self) -> None:
        """Forgets idle connections, which a Redis that went away left half open. Over TLS a polite end waits for the
        other side, which may be frozen: nobody's two seconds are spent on that."""
        with contextlib.suppress(*_UNREACHABLE):
            async with asyncio.timeout(_PAUSE):
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def _trip(self, batch: Sequence[_Waiting]) -> list[int]:
        jobs = [(waiting.name, waiting.job) for waiting in batch]
        keys, arguments = accept_call(self._keys, self._common, jobs, at=clock.now(), dedupe=self._dedupe)
        try:
            return await self._evaluate("EVALSHA", _ACCEPT_SHA, len(keys), *keys, *arguments)
        except NoScriptError:  # Redis was started anew, or never saw it
            return await self._evaluate("EVAL", ACCEPT, len(keys), *keys, *arguments)

    async def _evaluate(self, *command: str | bytes | int) -> list[int]:
        """One command and its answer. Packed by hiredis: redis-py packs in Python, which costs more than the trip."""
        connection = await self._redis.connection_pool.get_connection()
        is_whole = False
        try:
            await connection.send_packed_command(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub says 1-tuple
            answers: list[int] = await connection.read_response()
            is_whole = True
            return answers
        except ResponseError:
            is_whole = True
            raise
        finally:
            if not is_whole:  # half an answer may be on its way, and would be taken for that of the next command
                await connection.disconnect(nowait=True)
            await self._redis.connection_pool.release(connection)


def _answer(batch: Sequence[_Waiting], answers: Sequence[int]) -> None:
    """Each hears of its own event; one line tells of the whole trip, for a line each would cost as much as the trip."""
    queued: list[str] = []
    seen: list[str] = []
    for waiting, is_new in zip(batch, answers, strict=True):
        (queued if is_new else seen).append(waiting.job.description)
        if not waiting.answer.done():
            waiting.answer.set_result(is_new == 1)
    _log.info("webhook.stored", queued=queued, seen_before=seen)


def _still_waiting(batch: Sequence[_Waiting], now: float) -> list[_Waiting]:
    """Those whose deadline has not passed; the others get their `NotStored`."""
    _refuse([waiting for waiting in batch if waiting.deadline <= now])
    return [waiting for waiting in batch if not waiting.answer.done()]


def _refuse(batch: Sequence[_Waiting]) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(NotStored("Redis did not take the event in time"))
