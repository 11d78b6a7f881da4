"""The names of the keys in Redis: ours and RQ's. No other file spells one (those of a running job: docs/queue.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of our keys and of RQ's. All follow RQ_KEY_PREFIX, so a hash tag in it keeps them in one slot."""

    prefix: str = "rq"

    def queue(self, name: str) -> str:
        return f"{self.prefix}:queue:{name}"

    def queues(self) -> str:
        return f"{self.prefix}:queues"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}:job:{job_id}"

    def executions(self, job_id: str) -> str:
        return f"{self.prefix}:executions:{job_id}"

    def workers(self) -> str:
        return f"{self.prefix}:workers"

    def scheduler_lock(self, queue: str) -> str:
        return f"{self.prefix}:scheduler-lock:{queue}"

    def failed(self, queue: str) -> str:
        return f"{self.prefix}:failed:{queue}"

    def scheduled(self, queue: str) -> str:
        return f"{self.prefix}:scheduled:{queue}"

    def deferred(self, queue: str) -> str:
        return f"{self.prefix}:deferred:{queue}"

    def canceled(self, queue: str) -> str:
        return f"{self.prefix}:canceled:{queue}"

    def seen(self, event_id: str) -> str:
        return f"{self.prefix}:seamkeeper:seen:{event_id}"

    # The marks of a user: each names the one job that waits for that reason.

    def waiting(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:waiting:{acs_user_id}"

    def retry(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:retry:{acs_user_id}"

    def resync(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:resync:{acs_user_id}"

    def later(self, acs_user_id: str, step: int) -> str:
        return f"{self.prefix}:seamkeeper:later:{step}:{acs_user_id}"

    # The user's turn, the jobs that wait for its end, and the failures in a row.

    def turn(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:turn:{acs_user_id}"

    def blocked(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:blocked:{acs_user_id}"

    def failing(self, acs_user_id: str) -> str:
        return f"{self.prefix}:seamkeeper:failing:{acs_user_id}"

    def asked(self, job_id: str) -> str:
        return f"{self.prefix}:seamkeeper:asked:{job_id}"

    def told(self, notice: str) -> str:
        return f"{self.prefix}:seamkeeper:told:{notice}"

    def budget(self) -> str:
        return f"{self.prefix}:seamkeeper:budget"

    def circuit(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:circuit:{acs_system_id}"

    def circuits(self) -> str:
        return f"{self.prefix}:seamkeeper:circuits"

    def parked(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:parked:{acs_system_id}"

    def counters(self) -> str:
        return f"{self.prefix}:seamkeeper:counters"

    def clock(self) -> str:
        return f"{self.prefix}:seamkeeper:clock"

    def epoch(self) -> str:
        return f"{self.prefix}:seamkeeper:epoch"

    # A resync under way: its place, the ids it has met and asked for, whose turn it is; and what the next shall be.

    def resync_pass(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:pass:{acs_system_id}"

    def resync_met(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:met:{acs_system_id}"

    def resync_asked(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:pass-asked:{acs_system_id}"

    def resync_turn(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:pass-turn:{acs_system_id}"

    def resync_wish(self, acs_system_id: str) -> str:
        return f"{self.prefix}:seamkeeper:pass-wish:{acs_system_id}"

    def paused_queues(self) -> str:
        return f"{self.prefix}:seamkeeper:paused"

    def replay(self, replay_id: int) -> str:
        return f"{self.prefix}:seamkeeper:replay:{replay_id}"

    def deaths(self, job_id: str) -> str:
        """Of a job's workers, as workers/concurrent/sweep.py counts them."""
        return f"{self.prefix}:seamkeeper:deaths:{job_id}"

    def rejected(self) -> str:
        return f"{self.prefix}:seamkeeper:rejected"
