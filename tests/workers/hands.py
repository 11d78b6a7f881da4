"""Jobs run by hand, in any order, against a simulator without a network: for tests of very many histories."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from rq import Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from seamkeeper.errors import Temporary
from seamkeeper.queues import QUEUES
from simulator import users_api
from simulator.refusals import Refusal
from simulator.world import World
from workers.seam_api import UserPage

_ENDPOINTS = {
    "/acs/users/update": users_api.update_user,
    "/acs/users/suspend": users_api.suspend_user,
    "/acs/users/unsuspend": users_api.unsuspend_user,
}


@dataclass
class NearSeam:
    """What workers/seam_api.py gives the jobs, straight from the simulator's world.

    `stale`: so many of the next reads answer what Seam held before the user's last change.
    """

    world: World
    stale: int = 0
    reads: int = 0
    writes: list[dict[str, Any]] = field(default_factory=list)
    _now: dict[str, Any] = field(default_factory=dict)
    _before: dict[str, Any] = field(default_factory=dict)

    def remember(self) -> None:
        """What is there now is what a stale answer will show after the next change."""
        for acs_user_id in set(self._now) | set(self.world.users):
            at = self.world.user(acs_user_id)
            if self._now.get(acs_user_id) != at:
                self._before[acs_user_id], self._now[acs_user_id] = self._now.get(acs_user_id), at

    def get_user(self, acs_user_id: str, **_options: Any) -> Mapping[str, Any] | None:
        self.reads += 1
        self.remember()
        if self.stale and acs_user_id in self._before:
            self.stale -= 1
            found: Mapping[str, Any] | None = self._before[acs_user_id]
            return found
        return self.world.user(acs_user_id)

    def write(self, path: str, request: Mapping[str, Any], **_options: Any) -> str:
        self.writes.append({"path": path, **request})
        try:
            _ENDPOINTS[path](self.world, dict(request), "")
        except Refusal as refusal:
            raise Temporary(f"{path}: {refusal.status}") from refusal
        return "request"

    def user_page(self, acs_system_id: str, _page_cursor: str | None = None) -> UserPage:
        users = [self.world.shape(user) for user in list(self.world.users.values())]
        return UserPage([user for user in users if user["acs_system_id"] == acs_system_id], None)

    def systems(self, **_query: str) -> list[Mapping[str, Any]]:
        people = [user.acs_system_id for user in list(self.world.users.values())]
        return [{"acs_system_id": each, "acs_user_count": people.count(each)} for each in list(self.world.systems)]

    def user_pages(self, acs_system_id: str) -> Any:
        yield self.user_page(acs_system_id).users

    def holder_of(self, acs_credential_id: str) -> str | None:
        credential = self.world.credentials.get(acs_credential_id)
        return credential.acs_user_id if credential else None

    def request_id(self) -> str | None:
        return None


class Hands:
    """Takes jobs out of RQ's queues and runs them here."""

    def __init__(self, redis: Redis, chance: random.Random | None = None) -> None:
        self._redis, self._chance = redis, chance
        self._tries: dict[str, int] = defaultdict(int)

    def run_one(self) -> bool:
        """One job that waits: the first, or with `chance` any of its queue. False when none does."""
        for name in QUEUES:
            key = f"rq:queue:{name}"
            count = self._redis.llen(key)
            if not count:
                continue
            place = self._chance.randrange(count) if self._chance else 0
            job_id = self._redis.lindex(key, place)
            self._redis.lrem(key, 1, job_id)
            self._run(job_id.decode(), name)
            return True
        return False

    def run_all(self, *, include_later: bool = True, at_most: int = 2000) -> None:
        """Until nothing waits, nor, with `include_later`, is scheduled."""
        for _ in range(at_most):
            if not self.run_one() and not (include_later and self.pull_forward()):
                return
        raise AssertionError("the jobs never end")

    def pull_forward(self) -> int:
        """What is scheduled is due now; gives its number."""
        moved = 0
        for name in QUEUES:
            for job_id in self._redis.zrange(f"rq:scheduled:{name}", 0, -1):
                self._redis.zrem(f"rq:scheduled:{name}", job_id)
                self._redis.hset(f"rq:job:{job_id.decode()}", "status", "queued")
                self._redis.rpush(f"rq:queue:{name}", job_id)
                moved += 1
        return moved

    def _run(self, job_id: str, queue: str) -> None:
        job = Job.fetch(job_id, connection=self._redis, serializer=JSONSerializer)
        self._redis.hset(f"rq:job:{job_id}", "status", "started")
        try:
            result = job.perform()
        except Temporary:
            self._tries[job_id] += 1
            assert self._tries[job_id] < 50
            result = Retry(max=1)
        if isinstance(result, Retry):
            self._redis.hset(f"rq:job:{job_id}", "status", "scheduled")
            self._redis.zadd(f"rq:scheduled:{queue}", {job_id: 0})
            return
        self._redis.delete(f"rq:job:{job_id}")
