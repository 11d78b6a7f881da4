"""Does this Redis keep what was accepted? Its facts, and what is wrong with them in words a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

_LEAST = (7, 0)


@dataclass(frozen=True, slots=True)
class Facts:
    """What Redis says of itself; None where a managed service does not say."""

    version: str = ""
    run_id: str = ""
    used_memory: int = 0
    max_memory: int = 0
    policy: str | None = None
    is_appending: bool | None = None
    fsync: str | None = None
    is_write_ok: bool = True
    is_save_ok: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: `is_fatal` means that nothing should run on it."""

    what: str
    is_fatal: bool = False


def facts_of(redis: Any) -> Facts:
    """Asks with INFO, and CONFIG GET where that is allowed."""
    found: Mapping[str, Any] = redis.info()
    try:
        fsync = redis.config_get("appendfsync").get("appendfsync")
    except ResponseError:  # managed services forbid CONFIG
        fsync = None
    appending = found.get("aof_enabled")
    return Facts(
        version=str(found.get("redis_version", "")),
        run_id=str(found.get("run_id", "")),
        used_memory=int(found.get("used_memory", 0)),
        max_memory=int(found.get("maxmemory", 0)),
        policy=found.get("maxmemory_policy"),
        is_appending=None if appending is None else bool(appending),
        fsync=fsync,
        is_write_ok=found.get("aof_last_write_status", "ok") == "ok",
        is_save_ok=found.get("rdb_last_bgsave_status", "ok") == "ok" or bool(appending),
    )


def problems_of(facts: Facts) -> list[Problem]:
    """What is wrong, worst first."""
    found = []
    if facts.version and _numbers(facts.version) < _LEAST:
        found.append(Problem(f"Redis {facts.version} is too old: 7.0 or newer is needed", is_fatal=True))
    if not facts.is_write_ok:
        found.append(Problem("Redis cannot write its append-only file: is its disk full? It refuses all writes"))
    if facts.policy not in (None, "noeviction"):
        found.append(Problem(f"maxmemory-policy is {facts.policy}: Redis may throw events away; set noeviction"))
    if facts.is_appending is False:
        found.append(Problem("appendonly is no: events accepted since the last snapshot are lost when Redis ends"))
    if facts.fsync == "no":
        found.append(Problem("appendfsync is no: half a minute of events may be lost; set everysec or always"))
    if not facts.is_save_ok:
        found.append(Problem("the last snapshot of Redis failed: is its disk full?"))
    if facts.max_memory and facts.used_memory > 0.9 * facts.max_memory:
        share = round(100 * facts.used_memory / facts.max_memory)
        found.append(Problem(f"{share} % of Redis' maxmemory is used: soon it refuses events"))
    return found


def refusal(redis: Any) -> str | None:
    """Why nothing should start on this Redis; None when it may, or does not answer yet."""
    try:
        return next((each.what for each in problems_of(facts_of(redis)) if each.is_fatal), None)
    except RedisError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
