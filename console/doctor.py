"""Can this installation work, as far as it shows from here? Each check: ok, warn or fail, and how to mend it.

The list is `CHECKS`. What only the workers can ask (Seam itself) is told by what they found last.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import make_url, text

from console.web import work
from console.web.state import Console, part
from seamkeeper import checkpoints, clock, issues, migrations, redis_checks, registration
from seamkeeper.keys import Keys
from seamkeeper.queues import QUEUES

Outcome = Literal["ok", "warn", "fail"]
_SLOW = 20.0  # milliseconds for one question to Redis
_OLD_LOOK = timedelta(hours=3)
_LITTLE_MEMORY, _LITTLE_DISK = 200, 500  # MiB
_SKEW = 60  # seconds
_MIB = 1048576


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found; `mend` says what to do when it is not ok."""

    name: str
    outcome: Outcome
    found: str
    mend: str = ""


Found = tuple[Outcome, str, str]
_FINE = ""


def examine(console: Console, *, only: Sequence[str] = ()) -> list[Result]:
    """Every check, or those that are named. A store that does not answer fails the checks that need it, and no more."""
    return [_result(name, check, console) for name, check in CHECKS.items() if not only or name in only]


def _result(name: str, check: Callable[[Console], Found], console: Console) -> Result:
    found = part(lambda: check(console))
    if found.value is None:
        return Result(name, "fail", found.problem or "it could not be looked at", "Mend that first.")
    return Result(name, *found.value)


def _python(_console: Console) -> Found:
    number = ".".join(map(str, sys.version_info[:3]))
    return ("ok", number, _FINE) if sys.version_info >= (3, 11) else ("fail", number, "Install Python 3.11 or newer.")


def _database(console: Console) -> Found:
    began = time.perf_counter()
    with console.reading() as connection:
        connection.execute(text("SELECT 1"))
    took = (time.perf_counter() - began) * 1000
    there, wanted = migrations.current(console.engine), migrations.head()
    if there != wanted:
        words = f"its tables are at {there or 'nothing'}, this version needs {wanted}"
        return "fail", words, "Run `seamkeeper migrate`; if it is newer than this version, upgrade this."
    kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(console.engine.dialect.name, "a database")
    return "ok", f"{kind} answers in {took:.1f} ms, its tables are at {there}", _FINE


def _redis(console: Console) -> Found:
    console.redis.ping()  # the first one connects
    began = time.perf_counter()
    console.redis.ping()
    took = (time.perf_counter() - began) * 1000
    version = redis_checks.facts_of(console.redis).version
    if took > _SLOW:
        return "warn", f"{version} answers in {took:.0f} ms", "Bring it closer: a webhook waits for it."
    return "ok", f"{version} answers in {took:.1f} ms", _FINE


def _redis_keeps(console: Console) -> Found:
    problems = redis_checks.problems_of(redis_checks.facts_of(console.redis))
    if not problems:
        return "ok", "it throws nothing away and writes all to disk", _FINE
    outcome: Outcome = "fail" if any(each.is_fatal or "evict" in each.what for each in problems) else "warn"
    mend = "Start it with `--maxmemory-policy noeviction --appendonly yes`, as docker-compose.yml does."
    return outcome, "; ".join(each.what for each in problems), mend


def _secret(console: Console) -> Found:
    """Signs with the library of those who send and verifies, as the receiver will."""
    secrets = console.settings.webhook_secrets
    if not secrets:
        return "warn", "this process was not told it", "Only the receiver needs it: look with its environment."
    from svix.webhooks import Webhook, WebhookVerificationError

    at, body = datetime.now(UTC), '{"event_type": "self_test"}'
    for number, secret in enumerate(secrets, 1):
        try:
            door = Webhook(secret)
            headers = {"svix-id": "msg_self_test", "svix-timestamp": str(int(at.timestamp()))}
            door.verify(body, headers | {"svix-signature": door.sign("msg_self_test", at, body)})
        except (WebhookVerificationError, ValueError, RuntimeError):
            return "fail", f"secret {number} cannot verify what it signed", "Copy it from Seam Console again, whole."
    return "ok", f"{len(secrets)} {'signs' if len(secrets) == 1 else 'sign'} and verify", _FINE


def _api_key(console: Console) -> Found:
    with console.reading() as connection:
        refused = [each for each in issues.of_the_house(connection) if each["code"] == "seam_refuses_us"]
    if refused:
        return (
            "fail",
            f"{refused[0]['message']}",
            "Make a key in Seam Console › Developer › API Keys, of this workspace.",
        )
    counters = console.redis.hgetall(Keys(console.settings.redis_key_prefix).counters())
    names = [name.decode(errors="replace") for name in cast(dict[bytes, bytes], counters)]
    if any(name.startswith("seam_api_requests:") and name.endswith(":200") for name in names):
        return "ok", "Seam answers the workers", _FINE
    if console.settings.can_call_seam:
        return "ok", "it is set; no worker has called Seam yet", _FINE
    return "warn", "not set here, and no worker has called Seam yet", "Give SEAM_API_KEY to the workers."


def _webhook(console: Console) -> Found:
    with console.reading() as connection:
        known = registration.read(connection)
    register = "`seamkeeper register --url https://…/webhooks/seam`"
    if known.state is None:
        return "warn", "nobody has looked at it yet", f"{register}; then a worker looks each hour."
    if known.state == "unconfigured":
        return "warn", "its address is not known", f"Run {register}, or set SEAMKEEPER_WEBHOOK_URL."
    if known.state != "ok":
        return "fail", known.sentence, f"{register}, or Repair on the console's settings page."
    if known.checked_at and clock.now() - clock.parse(known.checked_at) > _OLD_LOOK:
        return "warn", f"it was well at {known.checked_at}, and nobody looked since", "Do worker and scheduler run?"
    return "ok", f"{known.url}, as it must be", _FINE


def _jobs(console: Console) -> Found:
    """RQ's own default is pickle: a worker with another serializer could read none of ours."""
    redis, seen = console.redis, 0
    for name in QUEUES:
        for job_id in cast(list[bytes], redis.lrange(Keys(console.settings.redis_key_prefix).queue(name), 0, 9)):
            seen += 1
            detail = work.find_job(redis, job_id.decode(errors="replace"))
            if detail is None or detail.job.function == "not readable":
                words = f"a job in the queue {name} is not in JSON"
                return "fail", words, "Another program writes there: give it a Redis database of its own."
    return "ok", "JSON" if seen else "JSON; no job waits now", _FINE


def _workers(console: Console) -> Found:
    alive = [worker for worker in work.workers(console.redis) if worker.state != "lost"]
    served = {queue for worker in alive for queue in worker.queues}
    missing = [name for name in QUEUES if name not in served]
    if missing:
        return "fail", f"nobody serves {', '.join(missing)}", "Start `seamkeeper worker`."
    versions = sorted({worker.version for worker in alive if worker.version})
    if len(versions) > 1:
        return "warn", f"{len(alive)} run, of versions {', '.join(versions)}", "End the old ones."
    return "ok", f"{len(alive)} {'runs' if len(alive) == 1 else 'run'}", _FINE


def _scheduler(console: Console) -> Found:
    held = work.schedulers(console.redis)
    if not held:
        return "fail", "nobody acts", "Start `seamkeeper scheduler`."
    return "ok", f"{next(iter(held.values()))[0]} acts", _FINE


def _clock(console: Console) -> Found:
    with console.reading() as connection:
        known: dict[str, Any] | None = checkpoints.read(connection, "skew")
    if not known:
        return "ok", "not compared with Seam's yet", _FINE
    seconds = int(known["seconds"])
    if abs(seconds) > _SKEW:
        words = f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} Seam's"
        return "fail", words, "Set it by NTP: from five minutes on all signatures are refused."
    return "ok", f"{abs(seconds)} s from Seam's", _FINE


def _memory(_console: Console) -> Found:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) // 1024
    except (OSError, StopIteration, ValueError):
        return "ok", "not told by this system", _FINE
    if free < _LITTLE_MEMORY:
        return "warn", f"{free} MiB are free on this machine", "Fewer workers, or more memory."
    return "ok", f"{free:,} MiB are free on this machine", _FINE


def _disk(console: Console) -> Found:
    url = make_url(console.settings.database_url)
    folder = Path(url.database or ".").parent if url.drivername.startswith("sqlite") else console.settings.data_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(os.fspath(folder)).free // _MIB
    if free < _LITTLE_DISK:
        return "warn", f"{free} MiB are free", "Make room: a full disk refuses every event."
    return "ok", f"{free:,} MiB are free", _FINE


CHECKS: dict[str, Callable[[Console], Found]] = {
    "python": _python,
    "database": _database,
    "redis": _redis,
    "redis-keeps": _redis_keeps,
    "webhook-secret": _secret,
    "api-key": _api_key,
    "webhook": _webhook,
    "jobs": _jobs,
    "workers": _workers,
    "scheduler": _scheduler,
    "clock": _clock,
    "memory": _memory,
    "disk": _disk,
}
