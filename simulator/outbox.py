"""Which deliveries are still to be made, and what became of the others?"""

import heapq
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from .clock import RetryClock, in_microseconds, utc_now
from .records import Json
from .schedule import next_wait
from .signing import Brand

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TIMED_OUT, REFUSED = "timed out", "connection failed"
State = Literal["waiting", "delivered", "failed", "lost", "aborted"]


@dataclass(slots=True)
class Message:
    """One event on its way to one webhook. `svix_id` is the same for all attempts (Svix)."""

    svix_id: str
    webhook_id: str
    event_id: str
    event_type: str
    body: bytes
    state: State = "waiting"


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt that is due; the first is 1."""

    message: Message
    attempt: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. `status` None means that no answer came, and `error` says why."""

    status: int | None
    error: str | None = None
    retry_after: float | None = None
    is_abort: bool = False

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """A line of the delivery log. `next_wait_seconds` is before the division by speed; None when it was the last."""

    event_id: str
    event_type: str
    svix_id: str
    webhook_id: str
    attempt: int
    status: int | None
    error: str | None
    at: datetime
    next_wait_seconds: float | None

    def to_json(self) -> Json:
        return {**asdict(self), "at": in_microseconds(self.at)}


@dataclass(slots=True)
class Settings:
    """How deliveries misbehave.

    copies          how often each message is delivered, under one svix-id
    loss            the fraction of messages that are never tried
    reorder_window  so many messages are gathered, shuffled, then sent; below 2 is off
    hold_seconds    a window that does not fill is sent after this
    concurrency     so many attempts at a time
    time_out        seconds for an answer (Svix, hosted)
    brand           prefix of the three headers, `svix` or `webhook`
    is_paused       nothing is sent, everything is kept
    """

    copies: int = 1
    loss: float = 0.0
    reorder_window: int = 0
    hold_seconds: float = 1.0
    concurrency: int = 8
    time_out: float = 15.0
    brand: Brand = "svix"
    is_paused: bool = False


class Outbox:
    """All messages and their attempts. Filled by the world, emptied by the courier; safe from any thread."""

    def __init__(self, *, clock: RetryClock, rng: random.Random, keep: int) -> None:
        self.clock = clock
        self.settings = Settings()
        self.on_change: Callable[[], None] = lambda: None
        self._rng = rng
        self._keep = keep
        self._changed = threading.Condition()
        self._messages: dict[str, Message] = {}
        self._waiting: list[tuple[float, int, Job]] = []
        self._window: list[Job] = []
        self._window_since = 0.0
        self._forgotten: set[str] = set()
        self._in_flight = 0
        self._count = 0
        self._log: deque[Attempt] = deque(maxlen=keep)

    def put(self, webhook_id: str, *, event_id: str, event_type: str, body: bytes) -> Message:
        """Take a message for a webhook; it is due at once."""
        svix_id = "msg_" + "".join(self._rng.choices(ALPHABET, k=27))
        message = Message(svix_id, webhook_id, event_id, event_type, body)
        with self._changed:
            self._remember(message)
            if self._rng.random() < self.settings.loss:
                message.state = "lost"
                return message
            for _ in range(self.settings.copies):
                self._take_in(Job(message, 1))
        self.on_change()
        return message

    def take(self) -> list[Job]:
        """The attempts to make now, as many as concurrency leaves room for. Report each."""
        with self._changed:
            if self._window and time.monotonic() >= self._window_since + self.settings.hold_seconds:
                self._release()
            jobs: list[Job] = []
            while self._is_due() and self._in_flight < self.settings.concurrency:
                jobs.append(heapq.heappop(self._waiting)[2])
                self._in_flight += 1
            return jobs

    def seconds_until_next(self) -> float | None:
        """Real seconds until `take` should be asked again; None when only a change can bring work."""
        with self._changed:
            if self.settings.is_paused or self._in_flight >= self.settings.concurrency:
                return None
            times = [self.clock.real_seconds_until(self._waiting[0][0])] if self._waiting else []
            if self._window:
                times.append(max(0.0, self._window_since + self.settings.hold_seconds - time.monotonic()))
            return min(times, default=None)

    def report(self, job: Job, outcome: Outcome) -> None:
        """Say how an attempt ended: it is logged, and the next one is planned."""
        message = job.message
        with self._changed:
            self._in_flight -= 1
            is_over = outcome.is_success or outcome.is_abort or message.webhook_id in self._forgotten
            wait = None if is_over else self._wait_after(job, outcome)
            if outcome.is_success:
                message.state = "delivered"
            elif wait is not None:
                self._plan(Job(message, job.attempt + 1), wait)
            elif message.state != "delivered":
                message.state = "aborted" if is_over else "failed"
            self._log.append(_line(job, outcome, wait))
            self._changed.notify_all()
        self.on_change()

    def resend(self, id: str) -> int:
        """Send the messages with this svix-id or event_id once more, as from the Svix portal. Returns how many."""
        with self._changed:
            return self._again([m for m in self._messages.values() if id in (m.svix_id, m.event_id)])

    def recover(self) -> int:
        """Send all failed and lost messages again, as "Recover failed" and "Replay missing" of the Svix portal do."""
        with self._changed:
            return self._again([m for m in self._messages.values() if m.state in ("failed", "lost", "aborted")])

    def forget(self, webhook_id: str) -> None:
        """Make no more attempts for a webhook that was removed or disabled (Seam, webhooks)."""
        with self._changed:
            self._forgotten.add(webhook_id)
            self._waiting = [each for each in self._waiting if each[2].message.webhook_id != webhook_id]
            heapq.heapify(self._waiting)
            self._window = [job for job in self._window if job.message.webhook_id != webhook_id]
            self._changed.notify_all()

    def messages(self) -> list[Message]:
        """All messages that are kept, oldest first."""
        with self._changed:
            return list(self._messages.values())

    def attempts(self, id: str | None = None) -> list[Attempt]:
        """The delivery log, oldest first; `id` is an event_id or svix-id."""
        with self._changed:
            return [line for line in self._log if id is None or id in (line.event_id, line.svix_id)]

    def wait_until_idle(self, timeout: float = 10.0) -> bool:
        """Wait until every message is delivered or given up. False when that did not happen in time."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout)

    def waiting(self) -> int:
        """How many attempts are planned, held or running."""
        with self._changed:
            return len(self._waiting) + len(self._window) + self._in_flight

    def _is_idle(self) -> bool:
        return not self._waiting and not self._window and not self._in_flight

    def _is_due(self) -> bool:
        return not self.settings.is_paused and bool(self._waiting) and self._waiting[0][0] <= self.clock.now()

    def _remember(self, message: Message) -> None:
        self._messages[message.svix_id] = message
        if len(self._messages) > self._keep:
            done = next((id for id, each in self._messages.items() if each.state != "waiting"), None)
            if done is not None:
                del self._messages[done]

    def _take_in(self, job: Job) -> None:
        if self.settings.reorder_window < 2:
            self._plan(job, 0.0)
            return
        if not self._window:
            self._window_since = time.monotonic()
        self._window.append(job)
        if len(self._window) >= self.settings.reorder_window:
            self._release()

    def _release(self) -> None:
        self._rng.shuffle(self._window)
        for job in self._window:
            self._plan(job, 0.0)
        self._window = []

    def _plan(self, job: Job, wait: float) -> None:
        self._count += 1  # breaks ties, so that messages of one instant leave in order
        heapq.heappush(self._waiting, (self.clock.now() + wait, self._count, job))

    def _wait_after(self, job: Job, outcome: Outcome) -> float | None:
        must_slow_down = outcome.error == TIMED_OUT or outcome.status == 429
        return next_wait(job.attempt, self._rng, must_slow_down=must_slow_down, retry_after=outcome.retry_after)

    def _again(self, messages: list[Message]) -> int:
        for message in messages:
            message.state = "waiting"
            self._plan(Job(message, 1), 0.0)
        self.on_change()
        return len(messages)


def _line(job: Job, outcome: Outcome, wait: float | None) -> Attempt:
    message = job.message
    return Attempt(
        event_id=message.event_id,
        event_type=message.event_type,
        svix_id=message.svix_id,
        webhook_id=message.webhook_id,
        attempt=job.attempt,
        status=outcome.status,
        error=outcome.error,
        at=utc_now(),
        next_wait_seconds=wait,
    )
