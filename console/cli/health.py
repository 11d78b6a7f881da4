"""`seamkeeper health`: for health checks of containers and probes."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from datetime import UTC, datetime, timedelta

import click

from console.cli.parts import open_redis
from seamkeeper import settings

_FRESH = timedelta(seconds=90)
# A proxy of the environment is for the world outside, and would answer in the place of a part that is down.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@click.command("health")
@click.option("--receiver", "receiver_url", help="Address of the receiver, such as http://127.0.0.1:8000.")
@click.option("--console", "console_url", help="Address of the console.")
@click.option("--worker", is_flag=True, help="A worker of this host is registered and its heartbeat is fresh.")
@click.option("--scheduler", is_flag=True, help="Some scheduler acts.")
def health_command(receiver_url: str | None, console_url: str | None, worker: bool, scheduler: bool) -> int:
    """Exit 0 when every part that was named is well, else 1; 5 when Redis, which knows the workers, does not answer."""
    urls = {"receiver": receiver_url, "console": console_url}
    checks = {f"the {name} at {url}": _answers(url) for name, url in urls.items() if url}
    if worker or scheduler:
        with open_redis(settings.load(), patience=2) as redis:
            checks |= {"a worker of this host": _works(redis)} if worker else {}
            checks |= {"the scheduler": _schedules(redis)} if scheduler else {}
    if not checks:
        raise click.UsageError("Name at least one part: --receiver URL, --console URL, --worker, --scheduler.")
    for name in (name for name, is_well in checks.items() if not is_well):
        click.echo(f"Not well: {name}.", err=True)
    return 0 if all(checks.values()) else 1


def _answers(url: str) -> bool:
    try:
        with _DIRECTLY.open(f"{url.rstrip('/')}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, http.client.HTTPException):
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
