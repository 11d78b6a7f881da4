"""Replays: the plan of one, how far one is, and those there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.web import asked
from console.web.acting import Asked, Done, Form, Refused, action
from console.web.asked import whole
from console.web.asking import queues_of
from console.web.event_filter import instant, number
from console.web.people import need
from console.web.rendering import page
from console.web.state import Console, console_of, part
from seamkeeper import clock, replays
from seamkeeper.replays import Chosen, Plan
from seamkeeper.requeue import Requeue

MOST = 10_000  # of one replay from here: a page waits for the plan
_MOST_IDS = 2000
_RATES = (60, 600, 6000)  # a minute
_TEXTS = {
    "status": "status", "type": "event_type", "about": "acs_user_id", "system": "acs_system_id", "source": "source",
    "search": "search", "cause": "cause", "kind": "kind",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asking:
    """A plan, and the fields of the form that says the same once more."""

    plan: Plan
    fields: list[tuple[str, str]]


def plan(request: Request) -> Response:
    """GET /replay?id=…, ?user=… or the filter of the list of events: what it would do. `user` names who is read afresh,
    `about` whose events."""
    fields = [(name, asked.readable(value.strip())) for name, value in request.query_params.multi_items()]
    chosen = replays.until_now(_chosen(fields))
    if chosen.search:  # it counts those whom the beginning of a name leads to
        need(request, "operator")
    found = part(lambda: Asking(_plan(console_of(request), chosen), _fields(chosen)))
    return page(request, "replay_plan.html", found=found, chosen=words_of(chosen.as_json()), most=MOST, rates=_RATES,
                is_of_users=_is_of_users(fields), back=_back(fields))  # fmt: skip


def start(asked: Asked) -> Done:
    """POST /replays: the workers take its steps from now on."""
    chosen = replays.until_now(_chosen(_pairs(asked.form)))
    rate = whole(asked.text("rate") or "600")
    if rate is None or not 1 <= rate <= 600_000:
        raise Refused("Nothing was replayed: the rate is a number from 1 to 600,000 a minute.", to="/replays")
    found = _plan(asked.console, chosen)
    if not found.eligible:
        raise Refused("Nothing was replayed: none of them can be replayed now.", to="/replays")
    chosen = chosen if found.is_whole else replace(chosen, at_most=MOST)
    reason = asked.text("reason")[:500] or None
    with asked.console.engine.begin() as connection:
        replay_id = replays.start(connection, chosen, found, rate=rate, by=asked.person.name, reason=reason)
    queues_of(asked.console).ask_replay(replay_id)
    return Done(
        f"Replay {replay_id} runs.", f"/replays/{replay_id}", {"replay_id": replay_id, "eligible": found.eligible}
    )


def stop(asked: Asked) -> Done:
    """POST /replays/{replay_id}/stop"""
    replay_id = _number(asked.path["replay_id"])
    with asked.console.engine.begin() as connection:
        is_stopped = replays.stop(connection, replay_id)
    if not is_stopped:
        raise Refused(f"Replay {replay_id} does not run.", to=f"/replays/{replay_id}")
    return Done("Stopped. What it has queued is done; it can go on from here.", f"/replays/{replay_id}")


def resume(asked: Asked) -> Done:
    """POST /replays/{replay_id}/resume: also of one whose next step was lost; to ask twice is to ask once."""
    replay_id = _number(asked.path["replay_id"])
    with asked.console.engine.begin() as connection:
        replays.resume(connection, replay_id)
        row = replays.find(connection, replay_id)
    if row is None or row["state"] != "running":
        raise Refused(f"Replay {replay_id} is done." if row else "There is no such replay.", to=f"/replays/{replay_id}")
    queues_of(asked.console).ask_replay(replay_id)
    return Done("It goes on.", f"/replays/{replay_id}")


def progress(request: Request) -> Response:
    """GET /replays/{replay_id}"""
    replay_id = _number(asked.name_in_path(request, "replay_id"))
    found = part(lambda: _find(console_of(request), replay_id))
    if found.problem is None and found.value is None:
        raise HTTPException(404, "There is no such replay.")
    is_running = found.value is not None and found.value["state"] == "running"
    said = words_of(found.value["chosen"]) if found.value else []
    return page(request, "replay.html", replay_id=replay_id, found=found, is_running=is_running, chosen=said)


def past(request: Request) -> Response:
    """GET /replays"""
    before = asked.row(request)
    found = part(lambda: _past(console_of(request), before))
    return page(request, "replays.html", found=found, is_later_page=before is not None, words_of=words_of,
                page_size=asked.PAGE)  # fmt: skip


def words_of(chosen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was chosen, as names and words."""
    named = {"event_type": "type", "acs_user_id": "user", "acs_system_id": "access system", "since": "received since",
             "until": "received until", "tries_at_least": "tries, at least", "at_most": "no more than"}  # fmt: skip
    found = []
    for name, value in chosen.items():
        text = f"{len(value):,} chosen one by one" if name == "ids" else str(value)
        found.append((named.get(name, name), text))
    return found


def _find(console: Console, number: int) -> dict[str, Any] | None:
    with console.reading() as connection:
        return replays.find(connection, number)


def _past(console: Console, before: int | None) -> list[dict[str, Any]]:
    with console.reading() as connection:
        return replays.list_replays(connection, before=before, limit=asked.PAGE + 1)


def _plan(console: Console, chosen: Chosen) -> Plan:
    with console.reading() as connection:
        return replays.plan(connection, Requeue(queues_of(console)), chosen, look_at=MOST)


def _chosen(fields: list[tuple[str, str]]) -> Chosen:
    """Raises 400 for nothing at all: a replay of everything is not asked for by an empty address."""
    ids = tuple(dict.fromkeys(value for name, value in fields if name in ("id", "user") and value))
    said = {name: value for name, value in fields if value}
    if len(ids) > _MOST_IDS:
        raise HTTPException(400, f"No more than {_MOST_IDS:,} can be chosen one by one.")
    if ids:
        return Chosen(ids=ids, until=instant(said.get("until")))
    texts: dict[str, Any] = {field: said[name] for name, field in _TEXTS.items() if name in said}
    chosen = Chosen(
        **texts,
        since=instant(said.get("since")),
        until=instant(said.get("until")),
        tries_at_least=number(said.get("tries")),
    )
    if not replace(chosen, kind=None).as_json():
        raise HTTPException(400, "Choose what shall be replayed: in the list of events, or among the dead letters.")
    return chosen if chosen.status or not chosen.cause else replace(chosen, status="dead")


def _fields(chosen: Chosen) -> list[tuple[str, str]]:
    """The same as `_chosen` reads it."""
    found = [("id", each) for each in chosen.ids]
    found += [(name, value) for name, field in _TEXTS.items() if (value := getattr(chosen, field))]
    found += [("tries", str(chosen.tries_at_least))] if chosen.tries_at_least else []
    times = (("since", chosen.since), ("until", chosen.until))
    return found + [(name, clock.iso(value)) for name, value in times if value]


def _pairs(form: Form) -> list[tuple[str, str]]:
    return [(name, value.strip()) for name, values in form.items() for value in values]


def _is_of_users(fields: list[tuple[str, str]]) -> bool:
    return any(name == "user" for name, _ in fields)


def _back(fields: list[tuple[str, str]]) -> str:
    if _is_of_users(fields):
        return "/users"
    return "/dead" if any(name == "cause" for name, _ in fields) else "/events"


def _number(text: str) -> int:
    found = whole(text)
    if found is None:
        raise HTTPException(404, "There is no such replay.")
    return found


routes = [
    Route("/replay", plan, methods=["GET"]),
    Route("/replays", past, methods=["GET"]),
    action("/replays", start, name="replay.start"),
    action("/replays/{replay_id}/stop", stop, name="replay.stop", kind="replay"),
    action("/replays/{replay_id}/resume", resume, name="replay.resume", kind="replay"),
    Route("/replays/{replay_id}", progress, methods=["GET"]),
]
