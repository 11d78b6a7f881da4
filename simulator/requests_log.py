"""Which requests has Seam's API had? Kept in memory, the oldest forgotten first."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime

from .clock import in_microseconds
from .records import Json


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and the status it got; status 0 is a connection dropped without an answer."""

    at: datetime
    method: str
    path: str
    params: Json
    status: int
    seconds: float
    request_id: str

    def to_json(self) -> Json:
        return {**asdict(self), "at": in_microseconds(self.at)}


class RequestLog:
    """The last requests, oldest first. Safe to read from another thread."""

    def __init__(self, keep: int = 5000) -> None:
        self._lock = threading.Lock()
        self._seen: deque[Seen] = deque(maxlen=keep)

    def add(self, seen: Seen) -> None:
        """Keep one more."""
        with self._lock:
            self._seen.append(seen)

    def list(self, path: str | None = None) -> list[Seen]:
        """All that are kept, or those to one path."""
        with self._lock:
            return [seen for seen in self._seen if path is None or seen.path == path]

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._seen.clear()
