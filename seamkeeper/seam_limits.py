"""How do the workers restrain themselves at Seam now? For people; workers/budget.py and workers/circuit.py write it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from seamkeeper.keys import Keys

RECOVERY_SECONDS = 60  # from the slowest rate back to the configured one, steadily


@dataclass(frozen=True, slots=True)
class Circuit:
    """An access system whose calls failed. While `open` nothing is called, while `probing` one call is tried."""

    acs_system_id: str
    state: Literal["open", "probing"]
    since: datetime
    next_probe_at: datetime
    reason: str
    parked: int  # users who are asked for when it closes


def open_circuits(redis: Any, keys: Keys) -> list[Circuit]:
    """Those that are not closed."""
    now = _now(redis)
    found = []
    for name in sorted(each.decode() for each in redis.smembers(keys.circuits())):
        fields = {key.decode(): value.decode() for key, value in redis.hgetall(keys.circuit(name)).items()}
        if "until" not in fields:  # closed, or forgotten by Redis, between the two reads
            continue
        is_probing = int(fields.get("probe_until", 0)) > now
        found.append(
            Circuit(
                acs_system_id=name,
                state="probing" if is_probing else "open",
                since=_time(fields["opened_at"]),
                next_probe_at=_time(fields["until"]),
                reason=fields.get("reason", ""),
                parked=int(redis.hlen(keys.parked(name))),
            )
        )
    return found


def present_rate(redis: Any, keys: Keys) -> float | None:
    """Calls per second that all workers together allow themselves now; 0 while a Retry-After lasts, None when nobody
    called lately."""
    at, most, rate, slowed_at = redis.hmget(keys.budget(), "at", "most", "rate", "slowed_at")
    now = _now(redis)
    if most is None:
        return None
    if int(at) > now:
        return 0.0
    if rate is None:
        return float(most)
    return min(float(most), float(rate) + max(0, now - int(slowed_at)) / 1_000_000 * float(most) / RECOVERY_SECONDS)


def _now(redis: Any) -> int:
    seconds, microseconds = redis.time()
    return int(seconds) * 1_000_000 + int(microseconds)


def _time(microseconds: str) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1_000_000, UTC)
