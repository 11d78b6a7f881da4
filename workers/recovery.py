"""What is done when Redis forgot: everything that it may have held is asked for again. All of it may run twice.

Events that were accepted and not settled come back from the journal's own bodies; those that no worker had seen yet
from Seam, by a backfill over all the time that is remembered; users whose retries and later looks were lost are found
by a resync. An event's reactions of the customer's own are jobs of their own: those that were not run are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from seamkeeper import attempts, checkpoints, clock, database, journal, logs, replays, spans
from seamkeeper.accept import accept, event_job
from seamkeeper.queues import RESYNC_ALL
from seamkeeper.rqjob import Job
from seamkeeper.schedules import Schedules
from workers.reactions.own import Own
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
    requeued, reactions = _requeue(tools, state), _ask_own_reactions(tools, state)
    _go_on(tools, is_lost=state["recovering"] != "restarted")
    tools.queues.ask_resync(RESYNC_ALL, "all", why=f"Redis: {state['recovering']}")
    Schedules(tools.queues).hurry("backfill")
    with tools.engine.begin() as connection:
        now = checkpoints.read(connection, EPOCH, to_write=True) or {}
        if now.get("since") == state["since"]:  # else Redis forgot once more
            checkpoints.write(connection, EPOCH, now | {"recovering": None})
    logs.get().info("recovery.done", what=state["recovering"], requeued=requeued, reactions=reactions)


def _go_on(tools: Tools, *, is_lost: bool) -> None:
    """With what people asked for. A span begins anew: what it had queued may be lost."""
    with tools.engine.begin() as connection:
        names = spans.begin_anew(connection) if is_lost else []
        running = replays.running(connection)
    for name in names:
        spans.ask(tools.queues, name)
    for replay_id in running:
        tools.queues.ask_replay(replay_id)


def _requeue(tools: Tools, state: dict[str, Any]) -> int:
    """The events of the journal that nobody settled. One whose job is still there is remembered by Redis, too."""
    requeued, until = 0, clock.parse(state["since"])
    for status in journal.UNSETTLED:
        place = None
        while rows := _page_of(tools, status, until, place):
            jobs = [(row["event_id"], _job(row)) for row in rows]
            requeued += sum(accept(tools.queues, jobs, dedupe=tools.settings.dedupe, counter=_REQUEUED))
            place = rows[-1]["received_at"], rows[-1]["event_id"]
    return requeued


def _page_of(tools: Tools, status: str, until: datetime, place: tuple[datetime, str] | None) -> Sequence[Any]:
    with database.reading(tools.engine) as connection:
        return journal.unsettled_before(connection, status, until, after=place, limit=_PAGE)


def _job(row: Mapping[str, Any]) -> Job:
    delivery = row["delivery_id"] or ""
    return event_job(
        row["event_id"], row["event_type"], row["body"], received_at=row["received_at"], source=row["source"],
        delivery=delivery,
    )  # fmt: skip


def _ask_own_reactions(tools: Tools, state: dict[str, Any]) -> int:
    """For settled events of the time that is remembered: each own function that no line of the journal shows as run."""
    until, asked = clock.parse(state["since"]), 0
    for event_type, reactions in tools.table.items():
        names = [each.name for each in reactions if isinstance(each, Own)]
        place = (until - tools.settings.dedupe, "")
        while names:
            with database.reading(tools.engine) as connection:
                rows = journal.settled_between(connection, event_type, place, until, limit=_PAGE)
                ran = attempts.ran(connection, [row["event_id"] for row in rows], names)
            for row in rows:
                for name in set(names) - ran.get(row["event_id"], set()):
                    packed, by = {"event": row["body"]}, f"recovery {state['since']}"
                    asked += tools.queues.ask_own_reaction(name, event_type, row["event_id"], packed, by=by)
            if len(rows) < _PAGE:
                break
            place = (rows[-1]["received_at"], rows[-1]["event_id"])
    return asked
