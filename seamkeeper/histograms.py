"""Durations as counters: each bucket of a histogram is a field of the counters hash, and so is the sum.

Fields: `name:LABEL:le:0.1` (so many up to 0.1 s and above the bound before it) and `name:LABEL:ms` (all together).
"""

from __future__ import annotations

from collections.abc import Mapping

BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds; what is above them is `+Inf`
_LAST = "+Inf"


def observed(name: str, seconds: float) -> dict[str, int]:
    """What one observation adds to the counters; `name` is `metric:label`."""
    bound = next((f"{each:g}" for each in BOUNDS if seconds <= each), _LAST)
    return {f"{name}:le:{bound}": 1, f"{name}:ms": round(seconds * 1000)}


def read(fields: Mapping[str, int], metric: str) -> dict[str, tuple[list[tuple[str, float]], float]]:
    """By label: the buckets as Prometheus wants them (each with all below it), and the sum in seconds."""
    found: dict[str, dict[str, int]] = {}
    for field, value in fields.items():
        name, _, rest = field.partition(":")
        label, _, bound = rest.rpartition(":le:") if ":le:" in rest else rest.rpartition(":")
        if name == metric and label:
            found.setdefault(label, {})[bound] = value
    return {label: (_cumulated(counts), counts.get("ms", 0) / 1000) for label, counts in sorted(found.items())}


def _cumulated(counts: Mapping[str, int]) -> list[tuple[str, float]]:
    total, buckets = 0.0, []
    for bound in (*(f"{each:g}" for each in BOUNDS), _LAST):
        total += counts.get(bound, 0)
        buckets.append((bound, total))
    return buckets
