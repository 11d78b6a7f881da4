"""What is done when Redis forgot: everything that it may have held is asked for again. All of it may run twice.

Events that were accepted and not settled come back from the journal's own bodies; those that no worker had seen yet
from Seam, by a backfill over all the time that is remembered; users whose retries and later looks were lost are found
by a resync. Replays that were running go on from their place.
"""

from __future__ import annotations

from typing import Any

from seamkeeper import checkpoints, clock, database, journal, logs, replays
from seamkeeper.accept import accept, event_job
from seamkeeper.queues import RESYNC_ALL
from seamkeeper.schedules import Schedules
from workers.tools import Tools
from workers.watchdog import EPOCH

_REQUEUED = "requeued_events"
_PAGE = 500


def recover(tools: Tools) -> None:
    """One recovery, if one is under way. It is over when everything was asked for: SQL and the new Redis hold it."""
    with database.reading(tools.engine) as connection:
        state = checkpoints.read(connection, EPOCH) or {}
    if not state.get("recovering"):
        return
    requeued = _requeue(tools, state)
    with database.reading(tools.engine) as connection:
        begun = replays.running(connection)
    for replay_id in begun:
        tools.queues.ask_replay(replay_id)
    tools.queues.ask_resync(RESYNC_ALL, "all", why=f"Redis: {state['recovering']}")
    Schedules(tools.queues).hurry("backfill")
    with tools.engine.begin() as connection:
        now = checkpoints.read(connection, EPOCH) or {}
        if now.get("since") == state["since"]:  # else Redis forgot once more
            checkpoints.write(connection, EPOCH, now | {"recovering": None})
    logs.get().info("recovery.done", what=state["recovering"], requeued=requeued)


def _requeue(tools: Tools, state: dict[str, Any]) -> int:
    """The events of the journal that nobody settled. One whose job is still there is remembered by Redis, too."""
    before, after, requeued = clock.parse(state["since"]), "", 0
    while True:
        with database.reading(tools.engine) as connection:
            rows = journal.unsettled_before(connection, before, after=after, limit=_PAGE)
        if not rows:
            return requeued
        jobs = [
            (row["event_id"], event_job(
                row["event_id"], row["event_type"], row["body"], received_at=row["received_at"], source=row["source"],
                delivery=row["delivery_id"] or "",
            ))
            for row in rows
        ]  # fmt: skip
        requeued += sum(accept(tools.queues, jobs, dedupe=tools.settings.dedupe, counter=_REQUEUED))
        after = rows[-1]["event_id"]
