"""What comes by the clock, in /metrics: schedules, the last delivery, silence, clocks that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection

from seamkeeper import checkpoints, clock
from seamkeeper.accept import WEBHOOK
from seamkeeper.schedules import planned


def last_event(counters: Mapping[bytes, bytes]) -> Iterator[Metric]:
    """When a delivery came last."""
    found = GaugeMetricFamily("seamkeeper_last_event_received_timestamp_seconds", "The last delivery of an event")
    at = counters.get(f"{WEBHOOK}_at".encode())
    if at:
        found.add_metric([], float(at))
    yield found


def schedules(fields: Mapping[bytes, bytes]) -> Iterator[Metric]:
    """Last and next run of each schedule, and whether the last one failed."""
    labels = ["schedule"]
    ended = GaugeMetricFamily("seamkeeper_schedule_last_run_timestamp_seconds", "End of the last run", labels=labels)
    due = GaugeMetricFamily("seamkeeper_schedule_next_run_timestamp_seconds", "When the next is due", labels=labels)
    failed = GaugeMetricFamily("seamkeeper_schedule_failed", "1: the last run failed", labels=labels)
    for each in planned(dict(fields)):
        if each.ended_at:
            ended.add_metric([each.name], each.ended_at.timestamp())
            failed.add_metric([each.name], 0 if each.outcome == "ok" else 1)
        if each.due_at:
            due.add_metric([each.name], each.due_at.timestamp())
    yield from (ended, due, failed)


def gaps(connection: Connection) -> Iterator[Metric]:
    """Since when Seam's events come by backfill only, and how far our clock is ahead of Seam's."""
    silent = GaugeMetricFamily("seamkeeper_silence_seconds", "Since when no delivery brings Seam's events; 0: they do")
    state = checkpoints.read(connection, "silence") or {}
    since = state.get("since")
    silent.add_metric([], (clock.now() - clock.parse(since)).total_seconds() if since else 0)
    skew = GaugeMetricFamily("seamkeeper_clock_skew_seconds", "How far our clock is ahead of Seam's")
    known = checkpoints.read(connection, "skew")
    if known:
        skew.add_metric([], known["seconds"])
    yield from (silent, skew)
