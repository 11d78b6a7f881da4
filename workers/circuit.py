"""Does this access system answer? A circuit for each, in Redis, so that all workers agree.

Closed: calls go out, and failures in a row are counted. Open: nothing is called, who should have been reconciled is
parked. When the cool-off is over one call is let through, a parked user's or the probe's own: it closes the circuit, or
opens it for twice as long. Whoever closes it asks for the job that lets the parked go (`release`).

Nobody parked is lost: parking ends with asking for the probe job, which lets go whom it finds when the circuit is
closed by then, however it was closed, and comes again while it is not. At its end it asks for a resync, too.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from redis.exceptions import RedisError
from rq import get_current_job
from sqlalchemy.exc import SQLAlchemyError

from seamkeeper import logs, orders
from seamkeeper.errors import Parked, Permanent, Temporary
from seamkeeper.queues import RESYNC, RESYNC_SYSTEM, Queues
from seamkeeper.settings import Settings
from workers import circuit_scripts as scripts
from workers.flights import Flights
from workers.seam_errors import NoAnswer

_LONGEST = timedelta(minutes=10)  # of a cool-off
_BATCH, _BATCHES = 200, 10  # users let go at once, and in one run of the job
_OPEN, _PROBE = 1, 2


OnChange = Callable[[str, bool, str], None]


class Circuits:
    """The circuits, as the threads of one process see them. `SeamApi` asks before and tells after each call.

    `on_change` hears of each opening and closing: the access system, whether it is open now, and words of ours.
    """

    def __init__(self, queues: Queues, told: Settings, *, on_change: OnChange | None = None) -> None:
        self._on_change = on_change
        self._queues, self._redis, self._keys = queues, queues.redis, queues.keys
        self._told, self._flights = told, Flights()
        self._enter, self._failed, self._succeeded, self._undecided, self._let_go = (
            queues.redis.register_script(script)
            for script in (scripts.ENTER, scripts.FAILED, scripts.SUCCEEDED, scripts.UNDECIDED, scripts.LET_GO)
        )

    @contextmanager
    def passing(self, acs_system_id: str, acs_user_id: str | None, *, kind: str) -> Iterator[None]:
        """One call (`read` or `write`) about a system, and how it ended: `NoAnswer` is a failure, no error or a
        `Permanent` one (an answer of Seam's own) is a success, anything else says nothing about the system.

        Raises `Parked` while the circuit is open, `Postponed` while calls to the system hang in this process.
        """
        state, rest = self._ask(acs_system_id)
        if state == _OPEN:
            raise self._park(acs_system_id, acs_user_id, timedelta(microseconds=rest))
        is_probe, is_decided = state == _PROBE, False
        try:
            with self._flights.one(acs_system_id):
                yield
            is_decided = True
            self._has_succeeded(acs_system_id, kind, is_probe=is_probe, had_failed=bool(rest))
        except NoAnswer as error:
            is_decided = True
            self._has_failed(acs_system_id, kind, is_probe=is_probe, reason=str(error))
            raise
        except Permanent:
            is_decided = True
            self._has_succeeded(acs_system_id, kind, is_probe=is_probe, had_failed=bool(rest))
            raise
        finally:
            if is_probe and not is_decided:
                with _told_if_possible(acs_system_id):
                    self._undecided(keys=self._names(acs_system_id))

    def answered(self, acs_system_id: str) -> None:
        """An answer came from Seam about this system, whatever it says: its calls do not hang."""
        self._flights.answered(acs_system_id)

    def is_open(self, acs_system_id: str) -> bool:
        """True while it is not closed."""
        return bool(self._redis.hexists(self._keys.circuit(acs_system_id), "until"))

    def close(self, acs_system_id: str, *, why: str) -> None:
        """Seam said that the system is back: no more waiting, and the next failure is the first one."""
        if self._succeeded(keys=self._names(acs_system_id), args=[acs_system_id, "read", 1, 1]):
            self._changed(acs_system_id, False, why)
        if self._redis.exists(self._keys.parked(acs_system_id)):
            self._queues.ask_probe(acs_system_id, why=why)

    def parked_user(self, acs_system_id: str) -> str | None:
        """One of the users who wait, if anybody does: a probe should ask what could not be answered."""
        found = self._redis.hrandfield(self._keys.parked(acs_system_id))
        return found.decode() if found else None

    def release(self, acs_system_id: str, *, why: str) -> bool:
        """Asks for parked users, in bounded batches, then for a resync of a system that closed since; False when some
        are left for another run."""
        for _ in range(_BATCHES):
            found = self._redis.hrandfield(self._keys.parked(acs_system_id), _BATCH, withvalues=True)
            if not found:
                if self._redis.hexists(self._keys.circuit(acs_system_id), "unseen"):
                    self._queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why=why)
                    self._redis.hdel(self._keys.circuit(acs_system_id), "unseen")
                return True
            for name, value in zip(found[::2], found[1::2], strict=True):
                asked = json.loads(value)
                self._queues.ask_reconcile(name.decode(), why=asked["why"], source=asked["source"], queue=RESYNC)
            self._let_go(keys=[self._keys.parked(acs_system_id)], args=found)  # but for those who were parked anew
        return False

    def _ask(self, acs_system_id: str) -> tuple[int, int]:
        probe_lasts = int((self._told.job_timeout + timedelta(seconds=5)).total_seconds() * 1_000_000)
        try:
            state, rest = self._enter(keys=[self._keys.circuit(acs_system_id)], args=[probe_lasts])
        except RedisError as error:
            raise Temporary(f"Redis did not say whether {acs_system_id} answers ({type(error).__name__})") from error
        return int(state), int(rest)

    def _park(self, acs_system_id: str, acs_user_id: str | None, rest: timedelta) -> Parked:
        """A list that cannot be read is not parked: closing asks for a resync anyway. Nor is it forgotten. Nor is a dry
        or an ordered look: somebody waits for it, and let go it would be an ordinary one, which may write."""
        job = get_current_job()
        asked = job.kwargs if job else {}
        mode = asked.get("mode", orders.ORDINARY)
        if acs_user_id and mode != orders.DRY and not orders.is_ordered(mode):
            value = {"why": asked.get("why", "parked"), "source": asked.get("source", "circuit"), "n": uuid.uuid4().hex}
            self._redis.hset(self._keys.parked(acs_system_id), acs_user_id, json.dumps(value))
        self._queues.ask_probe(acs_system_id, why="the circuit is open", delay=rest + timedelta(seconds=1))
        return Parked(f"the access system {acs_system_id} does not answer: parked until it does", delay=rest)

    def _has_failed(self, acs_system_id: str, kind: str, *, is_probe: bool, reason: str) -> None:
        first = self._told.circuit_cool_off.total_seconds()
        longest = max(first, _LONGEST.total_seconds())
        spread = random.uniform(0.8, 1.2)  # noqa: S311 (spreading load, not a secret)
        limits = [self._told.circuit_failures, int(first * 1e6), int(longest * 1e6), spread]
        arguments = [acs_system_id, kind, int(is_probe), *limits, reason[:500]]
        with _told_if_possible(acs_system_id):
            cool_off = int(self._failed(keys=self._names(acs_system_id), args=arguments)) / 1e6
            if cool_off:
                delay = timedelta(seconds=cool_off + 1)
                self._queues.ask_probe(acs_system_id, why="the circuit is open", delay=delay)
                self._changed(acs_system_id, True, f"{reason[:300]} (resting for {cool_off:.0f} s)")

    def _has_succeeded(self, acs_system_id: str, kind: str, *, is_probe: bool, had_failed: bool) -> None:
        """Costs a trip to Redis only when there is something to forget."""
        if not is_probe and not had_failed:
            return
        with _told_if_possible(acs_system_id):
            if self._succeeded(keys=self._names(acs_system_id), args=[acs_system_id, kind, int(is_probe), 0]):
                self._queues.ask_probe(acs_system_id, why="the circuit closed")
                self._changed(acs_system_id, False, "a call was answered")

    def _changed(self, acs_system_id: str, is_open: bool, why: str) -> None:
        what = "circuit.opened" if is_open else "circuit.closed"
        logs.get().warning(what, acs_system_id=acs_system_id, why=why)
        if self._on_change:
            self._on_change(acs_system_id, is_open, why)

    def _names(self, acs_system_id: str) -> list[str]:
        return [self._keys.circuit(acs_system_id), self._keys.circuits()]


@contextmanager
def _told_if_possible(acs_system_id: str) -> Iterator[None]:
    """What came of the call must not be lost because it could not be counted; the probe that is asked for when a
    circuit opens finds what is left undone."""
    try:
        yield
    except (RedisError, SQLAlchemyError) as error:
        logs.get().warning("circuit.not_told", acs_system_id=acs_system_id, error=type(error).__name__)
