"""The turn of a user: who asked for a look, whose look it is now, and who looks again after a failure.

The semantics of client-go's workqueue, kept in Redis: many asks before a run are one run; an ask during a run is one
more run; never two runs of one user at once; failures in a row wait longer and longer, a success forgets them.
docs/queue.md tells the whole, with the reasons. Key names stand in seamkeeper/queues.py.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from seamkeeper import clock
from seamkeeper.orders import ORDINARY
from seamkeeper.rqjob import Job, Terms, data, flatten, job_id_for
from seamkeeper.turn_scripts import (
    ASK,
    ASK_RETRY,
    DROP,
    GIVE_BACK,
    IS_ASKED,
    LATER,
    LIVE,
    NOTE_FAILURE,
    RESYNC_MARK,
    RETRY,
    TAKE,
)  # fmt: skip

if TYPE_CHECKING:
    from seamkeeper.keys import Keys

RECONCILE, RESYNC = "reconcile", "resync"
RECONCILE_USER = "workers.jobs.reconcile_user"

_MARKS_LIVE = timedelta(days=2)  # beyond the time they mark, for the day on which nobody ends them


class Failures(NamedTuple):
    """Of one user: how many in a row, and the lowest step among the runs that did not succeed."""

    number: int
    step: int


class Turns:
    """The base of `Queues` for all that concerns one user. Each method is one call of Redis: it happened, or not."""

    def __init__(self, redis: Any, *, keys: Keys, terms: Terms) -> None:
        self.redis, self.keys, self.terms = redis, keys, terms
        self.starts = [keys.job(""), keys.queue(""), keys.scheduled(""), keys.executions("")]
        self._ask, self._take, self._give_back, self._ask_retry, self._note_failure = (
            redis.register_script(script) for script in (ASK, TAKE, GIVE_BACK, ASK_RETRY, NOTE_FAILURE)
        )
        self._is_asked, self._drop = (redis.register_script(script) for script in (IS_ASKED, DROP))

    def ask_reconcile(
        self, acs_user_id: str, *, why: str, source: str, delay: timedelta | None = None, step: int = 0,
        queue: str = RECONCILE, mode: str = ORDINARY, is_at_front: bool = False,
    ) -> str:  # fmt: skip
        """Asks for a reconcile of one user and gives the id of the job that will do it, new or already waiting.

        With `delay` it is a later look (after a write), which does not stand in the way of an ask for now, nor of a
        look of another step. `step` counts the later looks. An ask in the queue `resync` stands behind live ones, and
        is served by any of them. An ask in a mode (seamkeeper/orders.py) stands for itself: no other serves it, and it
        serves no other. `is_at_front`: somebody looks on; it goes before those that wait in the queue.
        """
        at = clock.now()
        job, fields = self._job(
            acs_user_id, why=why, source=source, step=step, queue=queue, at=at, is_at_front=is_at_front, mode=mode
        )  # fmt: skip
        place = LATER if delay else _place(queue, step=0, is_retry=False)
        life = _seconds(_MARKS_LIVE + (delay or timedelta()))
        due = due_at(at + delay) if delay else 0
        args = [*self.starts, place, life, job.job_id, due, at.timestamp(), clock.iso(at), *flatten(fields)]
        return text(self._ask(keys=self._names(acs_user_id, step, mode), args=args))

    def take_turn(
        self, acs_user_id: str, *, job_id: str, lasts: timedelta, step: int = 0, why: str = "", source: str = "",
        queue: str = RECONCILE, is_retry: bool = False, mode: str = ORDINARY,
    ) -> str | None:  # fmt: skip
        """A token when the user's turn is ours now. It ends by itself after `lasts`.

        None: this run is over, and another job looks at the user instead. Either an ask that goes before this one
        waits, and its run is this one's too; or somebody has the turn, and a job like this one comes when it ends.
        """
        at, token = clock.now(), uuid.uuid4().hex
        place = _place(queue, step=step, is_retry=is_retry)
        job, fields = self._job(
            acs_user_id, why=why, source=source, step=step, queue=queue, at=at, is_at_front=is_retry, mode=mode
        )  # fmt: skip
        args = [
            *self.starts, place, _seconds(_MARKS_LIVE), job.job_id, job_id, at.timestamp(), clock.iso(at), token,
            max(1, int(lasts.total_seconds() * 1000)), int(step == 0), *flatten(fields),
        ]  # fmt: skip
        return token if self._take(keys=self._names(acs_user_id, step, mode), args=args) else None

    def give_turn_back(self, acs_user_id: str, token: str, *, settled: bool = False, mode: str = ORDINARY) -> bool:
        """Ends the turn, if it is still ours, and lets those begin who waited for its end.

        `settled`: the run succeeded, or no other shall be tried: failures are forgotten and a waiting retry is dropped.
        """
        args = [*self.starts, token, clock.iso(clock.now()), int(settled)]
        return bool(self._give_back(keys=self._names(acs_user_id, mode=mode), args=args))

    def note_failure(
        self, acs_user_id: str, token: str, *, step: int, counts: bool = True, mode: str = ORDINARY
    ) -> Failures:
        """One more failure in a row, in the turn that the token stands for. Forgotten when nothing follows for long.

        What was only postponed does not count, but its step does.
        """
        life = max(86400, 3 * max(self.terms.retry_delays, default=0))
        args = [token, step, life, int(counts)]
        number, lowest = self._note_failure(keys=[self.keys.failing(_subject(acs_user_id, mode))], args=args)
        return Failures(number, lowest)

    def ask_retry(
        self, acs_user_id: str, *, why: str, source: str, delay: timedelta, step: int = 0, may_be_sooner: bool = False,
        mode: str = ORDINARY,
    ) -> datetime:  # fmt: skip
        """Asks for the user's one retry, within the turn: when it comes, at the front of the queue `resync`.

        It takes the place of a retry that waits already, and comes no sooner than that one (a failure prolongs the
        back-off), unless `may_be_sooner`.
        """
        at = clock.now()
        job, fields = self._job(
            acs_user_id, why=why, source=source, step=step, queue=RESYNC, at=at, is_at_front=True, mode=mode
        )  # fmt: skip
        life = _seconds(_MARKS_LIVE + delay)
        args = [*self.starts, life, job.job_id, due_at(at + delay), int(not may_be_sooner), *flatten(fields)]
        return datetime.fromtimestamp(self._ask_retry(keys=self._names(acs_user_id, mode=mode), args=args), UTC)

    def still_asked(self, asks: Mapping[str, str]) -> set[str]:
        """Of these users (acs_user_id -> mode) those whose look waits, is to be tried again, or may run now."""
        pipeline = self.redis.pipeline(transaction=False)
        for acs_user_id, mode in asks.items():
            self._is_asked(keys=self._names(acs_user_id, mode=mode), args=self.starts, client=pipeline)
        return {name for name, is_asked in zip(asks, pipeline.execute(), strict=True) if is_asked}

    def take_back(self, acs_user_id: str, mode: str) -> None:
        """Nobody waits for the looks in this mode any more: what has not begun is dropped, retries too."""
        self._drop(keys=self._names(acs_user_id, mode=mode), args=self.starts)

    def _job(
        self, acs_user_id: str, *, why: str, source: str, step: int, queue: str, at: datetime, mode: str,
        is_at_front: bool = False,
    ) -> tuple[Job, dict[str, Any]]:  # fmt: skip
        job = Job(
            job_id=f"reconcile-{job_id_for(acs_user_id)}-{uuid.uuid4().hex[:8]}",
            function=RECONCILE_USER,
            arguments={"acs_user_id": acs_user_id, "why": why, "source": source, "step": step}
            | ({"mode": mode} if mode else {}),
            description=f"reconcile {acs_user_id} ({why})",
        )
        fields: dict[str, Any] = {"created_at": clock.iso(at), "data": data(job), "description": job.description}
        if is_at_front:
            fields["enqueue_at_front"] = 1
        return job, fields | self.terms.fields(queue)

    def _names(self, acs_user_id: str, step: int = 0, mode: str = ORDINARY) -> list[str]:
        """One turn for all modes; marks and failures for each."""
        keys, subject = self.keys, _subject(acs_user_id, mode)
        marks = [keys.waiting(subject), keys.retry(subject), keys.resync(subject)]
        state = [keys.turn(acs_user_id), keys.blocked(acs_user_id), keys.failing(subject)]
        return [*state, *marks, keys.later(subject, step), keys.queues()]


def due_at(at: datetime) -> int:
    """As RQ's scheduled registry holds it: whole seconds, never sooner."""
    return math.ceil(at.timestamp())


def text(answer: bytes | str) -> str:
    """What a script answered, whatever the client decodes."""
    return answer.decode() if isinstance(answer, bytes) else answer


def _subject(acs_user_id: str, mode: str) -> str:
    """What marks are named for; no id holds a space."""
    return f"{acs_user_id} {mode}" if mode else acs_user_id


def _place(queue: str, *, step: int, is_retry: bool) -> int:
    if is_retry:
        return RETRY
    if queue == RESYNC:
        return RESYNC_MARK
    return LATER if step else LIVE


def _seconds(duration: timedelta) -> int:
    return math.ceil(duration.total_seconds())
