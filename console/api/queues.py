"""Queues: how much waits, for how long, and letting one wait."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request

from console.api.operations import read, write
from console.api.recorded import recorded
from console.web.state import console_of
from console.web.work import queue_states

router = APIRouter(tags=["queues"])

Name = Literal["events", "reconcile", "resync"]


class Counts(BaseModel):
    """Jobs by state, as RQ keeps them. `finished` ones are forgotten after an hour, `failed` ones after 30 days."""

    queued: int
    started: int
    scheduled: int
    deferred: int
    failed: int
    finished: int


class QueueState(BaseModel):
    """One queue. `oldest_age`: for how many seconds the first job has waited; null when none does."""

    name: Name
    counts: Counts
    oldest_age: float | None = Field(examples=[3.4])
    is_paused: bool


class QueueList(BaseModel):
    """In the order in which work matters."""

    items: list[QueueState]


class Paused(BaseModel):
    """`changed` is false when it was so already."""

    name: Name
    is_paused: bool
    changed: bool


@read(router, "/queues", QueueList)
def list_queues(request: Request) -> Any:
    """All queues."""
    found = queue_states(console_of(request).redis)
    return {
        "items": [
            {"name": each.name, "counts": dict(each.counts), "oldest_age": each.oldest_age, "is_paused": each.is_paused}
            for each in found
        ]
    }


@write(router, "POST", "/queues/{name}/pause", Paused, 404)
def pause_queue(request: Request, name: Name) -> Any:
    """Our workers take nothing more from it: what runs ends, what comes is accepted and waits. May be repeated."""
    with recorded(request, "queue.pause", kind="queue", subject_id=name) as work:
        work.detail["changed"] = work.queues.pause_queue(name)
    return {"name": name, "is_paused": True, "changed": work.detail["changed"]}


@write(router, "POST", "/queues/{name}/resume", Paused, 404)
def resume_queue(request: Request, name: Name) -> Any:
    """They take from it again. May be repeated."""
    with recorded(request, "queue.resume", kind="queue", subject_id=name) as work:
        work.detail["changed"] = work.queues.resume_queue(name)
    return {"name": name, "is_paused": False, "changed": work.detail["changed"]}
