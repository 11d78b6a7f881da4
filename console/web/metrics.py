"""What Prometheus scrapes (docs/metrics.md): counters from Redis, gauges read at scrape time."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from console.web import clock_metrics, seam_metrics, work
from console.web.rendering import product_version
from console.web.state import Console, console_of, part
from seamkeeper import issues, mirror, systems
from seamkeeper.keys import Keys

# Field of the counters hash -> the metric, its words, its labels. Labels follow the name, separated by colons; only
# the first of two may hold colons itself.
COUNTERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "webhook_requests": ("seamkeeper_webhook_requests", "Requests at the webhook door, by what became", ("outcome",)),
    "backfilled_events": (
        "seamkeeper_backfilled_events",
        "Events that a backfill had to bring, or met as known to Redis",
        ("outcome",),
    ),
    "event_attempts": ("seamkeeper_event_attempts", "Tries to handle an event or a change", ("event_type", "outcome")),
    "user_attempts": ("seamkeeper_user_attempts", "Tries to reconcile a user", ("outcome",)),
    "own_attempts": ("seamkeeper_own_attempts", "Tries of reactions of your own", ("function", "outcome")),
    "notice_attempts": ("seamkeeper_notice_attempts", "Tries to send a notice", ("outcome",)),
    "seam_api_requests": ("seamkeeper_seam_api_requests", "Calls of Seam's API", ("endpoint", "code")),
    "seam_api_postponed": ("seamkeeper_seam_api_postponed", "Calls not made: our limit, or a circuit", ("cause",)),
}
_WORKER_STATES = ("idle", "busy", "suspended", "lost")


def metrics(request: Request) -> Response:
    """GET /metrics"""
    registry = CollectorRegistry()  # its own: the library's global one would add this process's memory and files
    registry.register(_Scrape(console_of(request)))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Scrape(Collector):
    """What is read for one scrape. A source that does not answer is 0 in `seamkeeper_source_up`, the rest is there."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def describe(self) -> Iterable[Metric]:
        """Nothing: reading the sources only to learn the names would be a second scrape."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families, the sources' own state last."""
        build = {"version": product_version(), "python": platform.python_version(), "rq": version("rq")}
        yield InfoMetricFamily("seamkeeper_build", "What is running", value=build)
        source_up = GaugeMetricFamily("seamkeeper_source_up", "1 when this source was read", labels=["source"])
        for source, read in (("redis", self._from_redis), ("database", self._from_database)):
            families = part(_all(read))
            source_up.add_metric([source], 1 if families.problem is None else 0)
            yield from families.value or ()
        yield source_up

    def _from_redis(self) -> Iterator[Metric]:
        redis = self.console.redis
        keys = Keys(self.console.settings.redis_key_prefix)
        counters = cast(dict[bytes, bytes], redis.hgetall(keys.counters()))
        yield from _counters(counters)
        yield from seam_metrics.durations(counters)
        yield from clock_metrics.last_event(counters)
        yield from clock_metrics.schedules(cast(dict[bytes, bytes], redis.hgetall(keys.clock())))
        yield from seam_metrics.limits(redis, keys)
        yield from _queues(work.queue_states(redis))
        yield _workers(work.workers(redis))

    def _from_database(self) -> Iterator[Metric]:
        with self.console.reading() as connection:
            counts, codes = mirror.count_users(connection), issues.count_open(connection)
            yield seam_metrics.disconnected(systems.disconnected(connection))
            yield from clock_metrics.gaps(connection)
        yield from _users(counts)
        found = GaugeMetricFamily("seamkeeper_user_issues", "Codes present on users", labels=["code"])
        for code, count in codes.items():
            found.add_metric([code], count)
        yield found


def _all(read: Callable[[], Iterator[Metric]]) -> Callable[[], list[Metric]]:
    return lambda: list(read())


def _counters(fields: Mapping[bytes, bytes]) -> Iterator[Metric]:
    families = {
        field: CounterMetricFamily(name, words, labels=labels) for field, (name, words, labels) in COUNTERS.items()
    }
    for field, value in sorted(fields.items()):
        name, _, rest = field.decode(errors="replace").partition(":")
        if name in families and rest:
            wanted = len(COUNTERS[name][2])
            labels = rest.rsplit(":", wanted - 1)
            if len(labels) == wanted:
                families[name].add_metric(labels, float(value))
    yield from families.values()


def _users(counts: Mapping[tuple[str, str], int]) -> Iterator[Metric]:
    """A deleted user has no sync any more: it is counted by its health only."""
    states = GaugeMetricFamily("seamkeeper_users", "Users by how they stand against what is desired", labels=["state"])
    healths = GaugeMetricFamily("seamkeeper_users_health", "Users by their health at Seam", labels=["health"])
    for state in mirror.SYNCS:
        states.add_metric([state], sum(n for (sync, it), n in counts.items() if sync == state and it != "deleted"))
    for health in mirror.HEALTHS:
        healths.add_metric([health], sum(n for (_, it), n in counts.items() if it == health))
    yield from (states, healths)


def _queues(states: list[work.QueueState]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("seamkeeper_queue_jobs", "Jobs in RQ", labels=["queue", "state"])
    oldest = GaugeMetricFamily(
        "seamkeeper_queue_oldest_job_age_seconds", "How long the first job of a queue has waited", labels=["queue"]
    )
    paused = GaugeMetricFamily("seamkeeper_queue_paused", "1 while a queue is paused", labels=["queue"])
    for queue in states:
        for state, count in queue.counts.items():
            jobs.add_metric([queue.name, state], count)
        oldest.add_metric([queue.name], queue.oldest_age or 0.0)
        paused.add_metric([queue.name], int(queue.is_paused))
    yield from (jobs, oldest, paused)


def _workers(workers: list[work.WorkerState]) -> Metric:
    family = GaugeMetricFamily("seamkeeper_workers", "Workers that registered", labels=["state"])
    counts = dict.fromkeys(_WORKER_STATES, 0)
    for worker in workers:
        counts[worker.state] = counts.get(worker.state, 0) + 1
    for state, count in counts.items():
        family.add_metric([state], count)
    return family
