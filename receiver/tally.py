"""What the door refused: counted, and the last hundred kept without their bodies."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from typing import Any

from redis.exceptions import RedisError

from seamkeeper import clock
from seamkeeper.keys import Keys

_KEPT = 100


class Tally:
    """Counts in memory, written to Redis once a second: strangers must not be able to make us write per request."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis, self._keys = redis, keys
        self._counts: Counter[str] = Counter()
        self._rejected: deque[str] = deque(maxlen=_KEPT)

    def count(self, outcome: str) -> None:
        """One more answer of this kind."""
        self._counts[outcome] += 1

    def reject(self, outcome: str, *, delivery_id: str, sender: str) -> None:
        """The same, and a line for the operator: when, what, which delivery, from where."""
        self.count(outcome)
        line = {
            "at": clock.iso(clock.now()),
            "outcome": outcome,
            "delivery_id": delivery_id[:200],
            "sender": sender[:200],
        }
        self._rejected.append(json.dumps(line))

    async def run(self) -> None:
        """Writes once a second, and keeps counting while Redis is away."""
        while True:
            await asyncio.sleep(1)
            await self.write()

    async def write(self) -> None:
        """Writes what there is."""
        if not self._counts:
            return
        counts, rejected = self._counts.copy(), list(self._rejected)
        try:
            async with self._redis.pipeline(transaction=True) as pipeline:
                for outcome, number in counts.items():
                    pipeline.hincrby(self._keys.counters(), f"webhook_requests:{outcome}", number)
                if rejected:
                    pipeline.lpush(self._keys.rejected(), *rejected)
                    pipeline.ltrim(self._keys.rejected(), 0, _KEPT - 1)
                async with asyncio.timeout(2):
                    await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            return
        self._counts.subtract(counts)
        self._counts += Counter()
        for _ in rejected:
            self._rejected.popleft()
