"""Does Redis still hold what it held? An epoch key shows an emptied or replaced one, a beat one that was set back.

The scheduler that acts looks each second. What it knows stands in SQL (checkpoint `epoch`), so a Redis that forgot is
noticed without a restart, and also when everything was restarted at once. Then the `recover` job looks at everything
anew (workers/recovery.py). Once a minute it asks whether Redis is set up to keep what was accepted.
"""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from seamkeeper import checkpoints, clock, database, issues, logs
from seamkeeper.queues import EVENTS, RECOVER
from seamkeeper.redis_checks import facts_of, problems_of
from seamkeeper.schedules import Schedules
from workers import findings, notices
from workers.backfill import CHECKPOINT
from workers.tools import Tools

EPOCH = "epoch"
_BEAT_KEPT = 30.0  # seconds between writings of the beat to SQL
_CHECKED = 60.0
_LOST = {
    "emptied": "Redis came back empty, or is another one",
    "set back": "Redis came back with an older state",
    "restarted": "Redis was restarted",
}


class Watchdog:
    """One per scheduler process; only the one that acts looks."""

    def __init__(self, tools: Tools) -> None:
        self._tools, self._redis = tools, tools.queues.redis
        self._key = tools.queues.keys.epoch()
        self._known: dict[str, Any] = {}
        self._is_read = False
        self._beat_kept_at = self._checked_at = -_CHECKED

    def look(self) -> None:
        """One look; what Redis lost leads to a recovery. A database that is away is asked again the next time, and
        whatever else goes wrong here must not end the scheduler."""
        try:
            self._look()
        except RedisError:
            raise
        except SQLAlchemyError as error:
            self._is_read = False
            logs.get().warning("watchdog.database_is_away", error=type(error).__name__)
        except Exception:
            self._is_read = False
            logs.get().exception("watchdog.stumbled")

    def _look(self) -> None:
        if not self._is_read or self._known.get("recovering"):
            self._known, self._is_read = self._kept(), True
        run_id, found = str(self._redis.info("server").get("run_id", "")), self._redis.hgetall(self._key)
        epoch, beat = found.get(b"id", b"").decode(), int(found.get(b"beat", 0))
        what = _what_happened(self._known, epoch, beat, run_id)
        if what and _is_other(kept := self._kept(), self._known):  # another scheduler acted meanwhile, and noticed it
            self._known, what = kept, _what_happened(kept, epoch, beat, run_id)
        if what or not self._known:
            self._begin_anew(what, epoch, run_id, last_seen_at=found.get(b"at", b"").decode())
        self._keep_beat(*self._beat())
        if self._known.get("recovering"):
            Schedules(self._tools.queues).plan("recover", RECOVER, EVENTS, every=self._tools.settings.maintenance)
        if time.monotonic() - self._checked_at > _CHECKED:
            self._checked_at = time.monotonic()
            self._check_redis()

    def _begin_anew(self, what: str | None, epoch: str, run_id: str, *, last_seen_at: str) -> None:
        """The epoch after SQL: whoever is killed between the two writes finds again that something happened."""
        at, paused = clock.now(), self._known.get("paused", [])
        if what == "emptied" or not epoch:
            epoch = uuid.uuid4().hex
        if what in ("emptied", "set back"):
            self._pause_again(paused)
        self._known = {"id": epoch, "run_id": run_id, "beat": 0, "recovering": what, "since": clock.iso(at)}
        self._known["paused"] = paused
        with self._tools.engine.begin() as connection:
            if what in ("emptied", "set back"):
                is_empty = what == "emptied" or not last_seen_at
                _look_back(connection, at - self._tools.settings.dedupe if is_empty else clock.parse(last_seen_at))
                since = {"since": clock.iso(at)}
                if issues.raise_finding(connection, "redis_forgot", message=_LOST[what], detail=since):
                    notices.issue_raised(
                        self._tools, kind="finding", code="redis_forgot", acs_system_id=None, connection=connection
                    )
            checkpoints.write(connection, EPOCH, self._known)
        self._redis.hset(self._key, "id", epoch)
        if what:
            logs.get().warning("redis.forgot" if what != "restarted" else "redis.restarted", what=_LOST[what])

    def _kept(self) -> dict[str, Any]:
        with database.reading(self._tools.engine) as connection:
            return dict(checkpoints.read(connection, EPOCH) or {})

    def _pause_again(self, paused: list[str]) -> None:
        """As people left them: Redis must not undo an order because it forgot."""
        for name in self._tools.queues.paused_queues() - set(paused):
            self._tools.queues.resume_queue(name)
        for name in paused:
            self._tools.queues.pause_queue(name)

    def _beat(self) -> tuple[int, list[str]]:
        with self._redis.pipeline() as pipeline:
            pipeline.hincrby(self._key, "beat", 1)
            pipeline.hset(self._key, "at", clock.iso(clock.now()))
            pipeline.smembers(self._tools.queues.keys.paused_queues())
            beat, _, paused = pipeline.execute()
        return int(beat), sorted(name.decode() for name in paused)

    def _keep_beat(self, beat: int, paused: list[str]) -> None:
        """In memory each time, in SQL now and then: both are compared with what Redis says next. The queues that are
        paused at once when they are others: nobody else knows them."""
        is_news, now = self._known.get("paused", []) != paused, {"beat": beat, "paused": paused}
        self._known["beat"] = beat
        if is_news or time.monotonic() - self._beat_kept_at > _BEAT_KEPT:
            self._beat_kept_at = time.monotonic()
            with self._tools.engine.begin() as connection:
                known = checkpoints.read(connection, EPOCH, to_write=True) or {}
                if known.get("id") == self._known["id"]:  # the job may have ended the recovery meanwhile
                    checkpoints.write(connection, EPOCH, known | now)
            self._known["paused"] = paused

    def _check_redis(self) -> None:
        problems = [each.what for each in problems_of(facts_of(self._redis))]
        findings.of_the_house(self._tools, "redis_unsafe", "; ".join(problems) or None, {"problems": problems})


def _what_happened(known: dict[str, Any], epoch: str, beat: int, run_id: str) -> str | None:
    if not known:  # the first start of all
        return None
    if epoch != known["id"]:
        return "emptied"
    if beat < known["beat"]:
        return "set back"
    return "restarted" if run_id != known["run_id"] else None


def _is_other(kept: dict[str, Any], known: dict[str, Any]) -> bool:
    return any(kept.get(name) != known.get(name) for name in ("id", "run_id"))


def _look_back(connection: Connection, until: datetime) -> None:
    """What was queued after this moment may be lost: the watermarks of the backfill go back to it."""
    for name, known in checkpoints.read_all(connection, CHECKPOINT).items():
        if clock.parse(known["until"]) > until:
            checkpoints.write(connection, CHECKPOINT + name, known | {"until": clock.iso(until)})
