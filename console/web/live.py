"""What is new among the events, for pages that are open: one reader, and everybody who looks.

While somebody looks, the journal is read once a second: what was received of late, by its index. What changed since is
told to all, each with what their filter and role let them see. A stream ends after a while and the browser comes back
with the last number it saw; what it missed is told then, or, when we no longer know, that it may have missed something.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, cast

import anyio
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sse_starlette import EventSourceResponse
from sse_starlette.sse import SendTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from console.web import event_filter, masking
from console.web.people import person_of
from console.web.state import Console
from seamkeeper import clock, journal

MOST_VIEWERS = 50
LASTS = 55.0  # seconds of one stream: proxies cut what is open for a minute
PING = 15  # seconds between comments
_PAUSE = 1.0  # seconds between two looks
_GLANCE = 0.25  # seconds, at most, until a stream sees that the process was asked to end
_GRACE = 2.0  # seconds to end in order then
_READS_WITHIN = 20.0  # seconds until who does not read what was sent loses the seat
_LATE = timedelta(seconds=60)  # how much later than received an event may come into the journal
_MOST = 500
_KEPT = 1000
_SHOWN = (
    "event_id",
    "event_type",
    "status",
    "reason",
    "acs_user_id",
    "acs_system_id",
    "source",
    "tries",
    "received_at",
)
_EXACT = {
    "status": "status",
    "type": "event_type",
    "user": "acs_user_id",
    "system": "acs_system_id",
    "source": "source",
}


class Tail:
    """The reader of this process, and its viewers. It lives in one event loop."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epoch = secrets.token_hex(4)
        self._told: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_KEPT)
        self._number = 0
        self._seen: dict[str, tuple[str, int]] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._resting: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()
        self.viewers = 0
        self.seats = 0  # taken by streams, also by those that have not begun to look

    async def follow(
        self, last_seen: str, lasts: float, *, is_ending: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[tuple[str, dict[str, Any] | None], None]:
        """(number, event) of what is new, for so many seconds; None for an event: something may have been missed."""
        self.viewers += 1
        now = asyncio.get_running_loop().time
        until = now() + lasts
        try:
            self._begin()
            after = self._after(last_seen)
            if last_seen and after is None:
                yield self._name(self._number), None
            at = self._number if after is None else after
            while True:
                for number, found in [each for each in self._told if each[0] > at]:
                    at = number
                    yield self._name(number), found
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(until, now() + _GLANCE)), self._news:
                        await self._news.wait_for(lambda: self._number > at)  # noqa: B023 (it is awaited here)
                if now() >= until or is_ending():
                    return
        finally:
            self.viewers -= 1
            if not self.viewers:
                self._rest()

    async def close(self) -> None:
        """Gives back its connection to the database: a look that was begun ends first."""
        self._rest()
        await asyncio.gather(*self._resting, return_exceptions=True)

    @property
    def is_reading(self) -> bool:
        """Only while somebody looks."""
        return self._reader is not None

    def _begin(self) -> None:
        if self._reader is None:
            self._stop = asyncio.Event()
            self._reader = asyncio.create_task(self._read(self._stop))

    def _rest(self) -> None:
        if self._reader is not None:
            self._stop.set()  # not cancelled: the thread that looks would be left alone with its connection
            self._resting.add(self._reader)
            self._reader.add_done_callback(self._resting.discard)
        # What happens while nobody looks is not known afterwards: numbers from before lead to "may have missed".
        self._reader, self._seen, self._epoch = None, None, secrets.token_hex(4)
        self._told.clear()

    def _name(self, number: int) -> str:
        return f"{self._epoch}-{number}"

    def _after(self, last_seen: str) -> int | None:
        epoch, _, number = last_seen.partition("-")
        if epoch != self._epoch or not number.isdecimal() or len(number) > 15:
            return None
        is_kept = not self._told or int(number) >= self._told[0][0] - 1
        return int(number) if is_kept and int(number) <= self._number else None

    async def _read(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                rows = await run_in_threadpool(self._rows)
            except (SQLAlchemyError, RedisError, OSError):
                rows = None  # the pages say so; the next look may be answered
            if rows is not None and not stop.is_set():
                await self._tell(rows)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _PAUSE)

    def _rows(self) -> list[dict[str, Any]]:
        with self._console.reading() as connection:
            return journal.list_events(connection, since=clock.now() - _LATE, limit=_MOST)

    async def _tell(self, rows: list[dict[str, Any]]) -> None:
        before, self._seen = self._seen, {row["event_id"]: (row["status"], row["tries"]) for row in rows}
        if before is None:  # what was there already is on the page
            return
        async with self._news:
            for row in reversed(rows):
                if before.get(row["event_id"]) != self._seen[row["event_id"]]:
                    self._number += 1
                    news = {name: row[name] for name in _SHOWN} | {"is_new": row["event_id"] not in before}
                    self._told.append((self._number, news))
            self._news.notify_all()


class _Stream(EventSourceResponse):
    """Gives its seat back at its end, which comes when who looks does not read any more."""

    def __init__(self, tail: Tail, messages: AsyncIterator[dict[str, Any]], ending: anyio.Event) -> None:
        super().__init__(
            messages, ping=PING, headers={"cache-control": "no-store"}, send_timeout=_READS_WITHIN,
            shutdown_event=ending, shutdown_grace_period=_GRACE,
        )  # fmt: skip
        self._tail = tail
        tail.seats += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except* SendTimeoutError:
            pass
        finally:
            self._tail.seats -= 1


async def live(request: Request) -> Response:
    """GET /live with the filter of the list of events: Server-Sent Events."""
    tail = cast(Tail, request.state.live)
    if tail.seats >= MOST_VIEWERS:
        return PlainTextResponse(
            "Too many look already; the page can be reloaded by hand.\n", 503, {"retry-after": "60"}
        )
    chosen = event_filter.chosen(request)
    is_masked = not person_of(request).sees_names
    last_seen = request.headers.get("last-event-id", "")
    ending = anyio.Event()
    messages = _messages(tail, chosen, last_seen, is_masked=is_masked, is_ending=ending.is_set)
    return _Stream(tail, messages, ending)


async def _messages(
    tail: Tail,
    chosen: Mapping[str, str],
    last_seen: str,
    *,
    is_masked: bool,
    is_ending: Callable[[], bool] = lambda: False,
) -> AsyncIterator[dict[str, Any]]:
    yield {"comment": "here", "retry": 1000}
    async with aclosing(tail.follow(last_seen, LASTS, is_ending=is_ending)) as news:  # it counts its viewers at its end
        async for number, found in news:
            if found is None:
                yield {"id": number, "event": "missed", "data": "{}"}
            elif _fits(found, chosen):
                shown = found | {"reason": masking.masked_text(found["reason"] or "") or None} if is_masked else found
                yield {"id": number, "event": "event", "data": json.dumps(shown)}


def _fits(found: Mapping[str, Any], chosen: Mapping[str, str]) -> bool:
    """By what the message itself says; a search is answered by the page, which is told that there may be something."""
    tries = chosen.get("tries", "")
    is_tried = not tries.isdecimal() or len(tries) > 4 or int(found["tries"] or 0) >= int(tries)
    return is_tried and all(found[field] == chosen[name] for name, field in _EXACT.items() if name in chosen)


routes = [Route("/live", live, methods=["GET"])]
