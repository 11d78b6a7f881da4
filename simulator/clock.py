"""What time is it for Seam, how is it written, and how fast do the waits between retries pass?"""

import threading
import time
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of the machine, in UTC."""
    return datetime.now(UTC)


def in_milliseconds(at: datetime) -> str:
    """`2026-01-31T09:30:00.946Z`, as Seam writes the times that it keeps itself (Seam, example payloads)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def in_microseconds(at: datetime) -> str:
    """`2026-01-31T09:30:00.946000Z`, as Seam writes times that came from elsewhere (Seam, example payloads)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_time(text: str) -> datetime:
    """An ISO 8601 time; one without an offset is UTC. Raises ValueError for anything else."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


class RetryClock:
    """Seconds that pass `speed` times as fast as real ones.

    Only the waits between attempts are counted in them. `svix-timestamp` and time-outs stay real, so a receiver
    checks sped-up deliveries like any other. A new speed also holds for waits that have begun.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._speed = speed
        self._seconds = 0.0
        self._since = time.monotonic()

    @property
    def speed(self) -> float:
        """How many seconds pass in one real second."""
        return self._speed

    @speed.setter
    def speed(self, value: float) -> None:
        if not value > 0:
            raise ValueError(f"speed must be above 0, not {value}")
        with self._lock:
            self._seconds, self._since, self._speed = self._read(), time.monotonic(), value

    def now(self) -> float:
        """Seconds since this clock was made."""
        with self._lock:
            return self._read()

    def real_seconds_until(self, due: float) -> float:
        """The real seconds until `due` is reached; 0 when it has passed."""
        return max(0.0, (due - self.now()) / self._speed)

    def _read(self) -> float:
        return self._seconds + (time.monotonic() - self._since) * self._speed
