"""`seamkeeper health`: for health checks of containers and probes."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import click

from console.cli.parts import open_redis
from seamkeeper import clock, settings
from seamkeeper.keys import Keys
from seamkeeper.queues import EVENTS, QUEUES

if TYPE_CHECKING:
    from redis import Redis

_Fields = tuple[bytes | None, bytes | None, bytes | None]
_FRESH = timedelta(seconds=90)
# A proxy of the environment is for the world outside, and would answer in the place of a part that is down.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@click.command("health")
@click.option("--receiver", "receiver_url", help="Address of the receiver, such as http://127.0.0.1:8000.")
@click.option("--console", "console_url", help="Address of the console.")
@click.option("--worker", is_flag=True, help="Workers of this host serve every queue, with a fresh heartbeat.")
@click.option("--queues", default=",".join(QUEUES), show_default=True, help="That the workers of this host serve.")
@click.option("--scheduler", is_flag=True, help="Some scheduler acts.")
def health_command(
    receiver_url: str | None, console_url: str | None, worker: bool, queues: str, scheduler: bool
) -> int:
    """Exit 0 when every part that was named is well, else 1; 5 when Redis, which knows the workers, does not answer."""
    urls = {"receiver": receiver_url, "console": console_url}
    checks: dict[str, bool] = {f"the {name} at {url}": _answers(url) for name, url in urls.items() if url}
    if worker or scheduler:
        told = settings.load()
        keys = Keys(told.redis_key_prefix)
        with open_redis(told, patience=2) as redis:
            if worker:
                silent = _silent_queues(redis, queues.split(","), keys)
                checks[f"the workers of this host (queue {', '.join(silent)})"] = not silent
            if scheduler:
                checks["the scheduler"] = bool(redis.exists(keys.scheduler_lock(EVENTS)))
        if scheduler:
            _say_what_it_found(told)
    if not checks:
        raise click.UsageError("Name at least one part: --receiver URL, --console URL, --worker, --scheduler.")
    for name in (name for name, is_well in checks.items() if not is_well):
        click.echo(f"Not well: {name}.", err=True)
    return 0 if all(checks.values()) else 1


def _say_what_it_found(told: settings.Settings) -> None:
    """Details, which make nothing unready: an orchestrator that restarts the scheduler would mend none of them."""
    from sqlalchemy.exc import SQLAlchemyError

    from console.cli.parts import open_database
    from seamkeeper import database, issues

    try:
        with open_database(told) as engine, database.reading(engine) as connection:
            found = issues.of_the_house(connection)
    except SQLAlchemyError:
        return
    for issue in found:
        click.echo(f"Found: {issue['code']}: {issue['message']}.", err=True)


def _answers(url: str) -> bool:
    try:
        with _DIRECTLY.open(f"{url.rstrip('/')}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _silent_queues(redis: Redis, queues: Sequence[str], keys: Keys) -> list[str]:
    """The queues that no worker of this host serves with a fresh heartbeat. Read from RQ's hashes: importing RQ takes
    longer than a health check may."""
    served: set[str] = set()
    for key in cast("set[bytes]", redis.smembers(keys.workers())):
        host, heartbeat, names = cast(_Fields, redis.hmget(key.decode(), "hostname", "last_heartbeat", "queues"))
        if host and host.decode() == socket.gethostname() and _is_fresh(heartbeat):
            served |= set((names or b"").decode().split(","))
    return [queue for queue in queues if queue not in served]


def _is_fresh(heartbeat: bytes | None) -> bool:
    try:
        return clock.now() - clock.parse((heartbeat or b"").decode()) < _FRESH
    except ValueError:
        return False
