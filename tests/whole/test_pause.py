"""A paused queue in a whole deployment: the door stays open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from simulator.serve import running
from tests.signing import event
from tests.stack import Stack, eventually, stack

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def deployment(environment: dict[str, str], tmp_path: Path) -> Iterator[Stack]:
    """Receiver and workers before a Seam with one user."""
    with running(users=1, seed=5) as sim:
        seam = {"SEAM_API_KEY": sim.api_key, "SEAM_ENDPOINT": sim.url}
        with stack({**environment, **seam}, tmp_path) as found:
            yield found


def test_intake_goes_on_while_the_events_are_paused(deployment: Stack, redis: Redis) -> None:
    """Accepted with 204, kept, shown as queued, and handled after the resume."""
    deployment.start_receiver()
    deployment.start_workers()
    deployment.seamkeeper("pause", "events")

    bodies = [event("acs_user.deleted", acs_user_id=f"6f9619ff-8b86-4011-b42d-00cf4fc9640{n}") for n in range(5)]
    statuses = [deployment.post(each) for each in bodies]
    queued = {job_id.decode() for job_id in redis.lrange("rq:queue:events", 0, -1)}  # a backfill may wait there, too
    waiting = len(queued & {each["event_id"] for each in bodies})
    shown = deployment.shown("events", bodies[0]["event_id"])
    deployment.seamkeeper("resume", "events")

    assert (statuses, waiting, shown["status"]) == ([204] * 5, 5, "queued")
    for each in bodies:
        eventually(
            lambda each=each: deployment.shown("events", each["event_id"]).get("status") == "done", what="the event"
        )
