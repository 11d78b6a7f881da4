"""`seamkeeper health`: for health checks of containers and probes."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import click

from seamkeeper import settings

_FRESH = timedelta(seconds=90)


@click.command("health")
@click.option("--receiver", "receiver_url", help="Address of the receiver, such as http://127.0.0.1:8000.")
@click.option("--console", "console_url", help="Address of the console.")
@click.option("--worker", is_flag=True, help="A worker of this host is registered and its heartbeat is fresh.")
@click.option("--scheduler", is_flag=True, help="Some scheduler acts.")
def health_command(receiver_url: str | None, console_url: str | None, worker: bool, scheduler: bool) -> int:
    """Exit 0 when every part that was named is well, else 1."""
    checks = [_answers(url) for url in (receiver_url, console_url) if url]
    if worker or scheduler:
        from redis import Redis

        with Redis.from_url(settings.load().redis_url, socket_timeout=2, socket_connect_timeout=2) as redis:
            checks += [_works(redis)] if worker else []
            checks += [_schedules(redis)] if scheduler else []
    if not checks:
        raise click.UsageError("Name at least one part: --receiver URL, --console URL, --worker, --scheduler.")
    return 0 if all(checks) else 1


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=2) as answer:  # noqa: S310 (an address of ours)
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _works(redis: object) -> bool:
    from rq import Worker

    here = [worker for worker in Worker.all(connection=redis) if worker.hostname == socket.gethostname()]  # type: ignore[arg-type]
    return any(_is_fresh(worker.last_heartbeat) for worker in here)


def _is_fresh(heartbeat: datetime | None) -> bool:
    if heartbeat is None:
        return False
    at = heartbeat if heartbeat.tzinfo else heartbeat.replace(tzinfo=UTC)
    return datetime.now(UTC) - at < _FRESH


def _schedules(redis: object) -> bool:
    from rq.scheduler import RQScheduler

    from seamkeeper.queues import EVENTS

    return bool(redis.exists(RQScheduler.get_locking_key(EVENTS)))  # type: ignore[attr-defined]
