"""Seam's API in /metrics: how long calls take and wait, how fast we may call now, and which systems do not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric

from seamkeeper import histograms, seam_limits
from seamkeeper.keys import Keys


def durations(fields: Mapping[bytes, bytes]) -> Iterator[Metric]:
    """The histograms, from the counters hash."""
    counts = {name.decode(errors="replace"): int(value) for name, value in fields.items()}
    took = HistogramMetricFamily("seamkeeper_seam_api_request_duration_seconds", "Calls of Seam's API",
                                 labels=["endpoint"])  # fmt: skip
    for endpoint, (buckets, total) in histograms.read(counts, "seam_api_request_duration").items():
        took.add_metric([endpoint], buckets, total)
    waited = HistogramMetricFamily("seamkeeper_seam_api_limit_wait_seconds", "What calls waited for our own limit")
    for buckets, total in histograms.read(counts, "seam_api_limit_wait").values():
        waited.add_metric([], buckets, total)
    yield from (took, waited)


def limits(redis: Any, keys: Keys) -> Iterator[Metric]:
    """How the workers restrain themselves now."""
    rate = GaugeMetricFamily("seamkeeper_seam_api_rate", "Calls per second that are allowed now; 0: Retry-After")
    present = seam_limits.present_rate(redis, keys)
    if present is not None:
        rate.add_metric([], present)
    circuits = GaugeMetricFamily("seamkeeper_circuit_open", "1: calls about this access system fail, it is let rest",
                                 labels=["acs_system_id"])  # fmt: skip
    parked = GaugeMetricFamily("seamkeeper_parked_users", "Users who wait for an access system that does not answer",
                               labels=["acs_system_id"])  # fmt: skip
    for each in seam_limits.open_circuits(redis, keys):
        circuits.add_metric([each.acs_system_id], 1)
        parked.add_metric([each.acs_system_id], each.parked)
    yield from (rate, circuits, parked)


def disconnected(names: Sequence[str]) -> Metric:
    """Access systems that Seam said are disconnected: they are read, and not written to."""
    family = GaugeMetricFamily("seamkeeper_system_disconnected", "1: Seam said that this access system is disconnected",
                               labels=["acs_system_id"])  # fmt: skip
    for name in names:
        family.add_metric([name], 1)
    return family
