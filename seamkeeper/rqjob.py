"""What a job is in Redis: the fields of its hash as RQ 3.0 writes them, and how long it may run and be tried."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

RESULT_TTL = timedelta(hours=1)
_FAILURE_TTL = timedelta(days=30)
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")  # what RQ accepts


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: the function by name, its keyword arguments (JSON), and words for `rq info`.

    `description` must hold no payload: RQ writes it to its log.
    """

    job_id: str
    function: str
    arguments: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Terms:
    """How jobs are run: longest time, and seconds before each new try."""

    timeout: timedelta = timedelta(seconds=60)
    retry_delays: Sequence[int] = (5, 15, 60, 300, 900, 3600)

    def fields(self, queue: str) -> dict[str, str | int]:
        """What all jobs of a queue have in common, as RQ's job hash holds it (rq 3.0 `Job.to_dict`)."""
        return {
            "success_callback_name": "",
            "failure_callback_name": "",
            "stopped_callback_name": "",
            "started_at": "",
            "ended_at": "",
            "last_heartbeat": "",
            "worker_name": "",
            "group_id": "",
            "retries_left": len(self.retry_delays),
            "retry_intervals": json.dumps([jittered(delay) for delay in self.retry_delays]),
            "origin": queue,
            "timeout": int(self.timeout.total_seconds()),
            "result_ttl": int(RESULT_TTL.total_seconds()),
            "failure_ttl": int(_FAILURE_TTL.total_seconds()),
        }


def jittered(seconds: int) -> int:
    """A whole number of seconds within ±20 % of these, at least 1: what failed together must not come back together."""
    return random.randint(max(1, math.ceil(seconds * 0.8)), max(1, math.floor(seconds * 1.2)))  # noqa: S311 (no secret)


def data(job: Job) -> bytes:
    """The call as RQ's JSONSerializer writes it, compressed as RQ does."""
    return zlib.compress(json.dumps([job.function, None, [], dict(job.arguments)]).encode(), 1)


def job_id_for(name: str) -> str:
    """A job id RQ accepts: the name itself where it can be, else its hash."""
    return name if _JOB_ID.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


def flatten(fields: Mapping[str, str | int]) -> list[str | int]:
    """Field, value, field, value: as HSET takes them."""
    return [part for pair in fields.items() for part in pair]
