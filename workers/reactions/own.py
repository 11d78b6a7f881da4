"""A customer's own reactions: found and checked at start, asked for inline, each run as a job of its own.

In the table an own reaction is one more reaction: an `Own`, which only asks for its job. So a function that fails or is
slow neither stops nor repeats the others, nor ours, and an event is settled when all that it leads to was asked for.
"""

from __future__ import annotations

import importlib
import inspect
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rq import get_current_job

from seamkeeper.errors import ConfigurationError, Permanent
from seamkeeper.events import Event, read_event
from workers.changes import Change

if TYPE_CHECKING:
    from workers.tools import Tools

GROUP = "seamkeeper.reactions"
_LONGEST = 150  # characters of a name: it stands in the journal and in metrics


@dataclass(frozen=True, slots=True)
class Own:
    """One function of a customer's, under the name by which its job finds it again: module and function."""

    name: str
    function: Callable[..., Any]

    def __call__(self, happening: Event | Change, tools: Tools) -> None:
        """Asks for the job: once for each run of who asks, a replay asks anew."""
        job = get_current_job()
        by = f"{job.id} {job.created_at}" if job else uuid.uuid4().hex
        if isinstance(happening, Event):
            packed: dict[str, Any] = {"event": json.dumps(happening.payload)}
            tools.queues.ask_own_reaction(self.name, happening.event_type, happening.event_id, packed, by=by)
            return
        packed = {"acs_user_id": happening.acs_user_id, "detail": happening.detail, "source": happening.source}
        subject = job.id if job else by  # a change has no id of its own: that of the job which tells it
        tools.queues.ask_own_reaction(self.name, happening.type, subject, {"change": packed}, by=by)


def unpack(happening: str, *, event: str | None, change: Mapping[str, Any] | None) -> Event | Change:
    """The event or change out of a job's arguments."""
    return read_event(event) if event is not None else Change(happening, **change or {})


def find(reactions: Iterable[Any], name: str, happening: str) -> Callable[..., Any]:
    """The function behind a job. Raises `Permanent` when this release has it no more."""
    for each in reactions:
        if isinstance(each, Own) and each.name == name:
            return each.function
    raise Permanent(
        f"there is no reaction {name} to {happening} in this release: neither an installed package ({GROUP}) nor "
        "SEAMKEEPER_REACTIONS names it. Bring it back and requeue the job, or delete the job."
    )


def load(modules: Iterable[str]) -> dict[str, tuple[Own, ...]]:
    """Type -> the own reactions of installed packages and of the named modules, in this order.

    Raises `ConfigurationError` for one that cannot be imported, holds no table, or whose functions cannot be called.
    """
    table: dict[str, tuple[Own, ...]] = {}
    known: dict[str, Any] = {}
    for source, read in _sources(modules):
        for happening, own in _entries(source, read):
            if known.setdefault(own.name, own.function) != own.function:
                raise _mistake(source, f"has two functions named {own.name}: give each a name of its own")
            if own not in table.get(happening, ()):  # a module may be both installed and named
                table[happening] = (*table.get(happening, ()), own)
    return table


def _sources(modules: Iterable[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        yield point.value, point.load
    for name in modules:
        yield name, lambda name=name: importlib.import_module(name)  # type: ignore[misc]


def _entries(source: str, read: Callable[[], Any]) -> Iterator[tuple[str, Own]]:
    try:
        theirs = read()
    except Exception as error:
        raise _mistake(source, f"could not be imported: {type(error).__name__}: {error}") from error
    if isinstance(theirs, ModuleType):
        theirs = getattr(theirs, "REACTIONS", None)
    if not isinstance(theirs, Mapping):
        raise _mistake(source, "has no dict REACTIONS of type -> functions")
    for happening, functions in theirs.items():
        if not isinstance(happening, str) or not isinstance(functions, tuple | list):
            raise _mistake(source, f"REACTIONS[{happening!r}] must be a tuple of functions, such as (mine,)")
        yield from ((happening, Own(_name(source, happening, each), each)) for each in functions)


def _name(source: str, happening: str, function: Any) -> str:
    where = f"REACTIONS[{happening!r}]"
    name = f"{getattr(function, '__module__', None)}.{getattr(function, '__qualname__', '')}"
    if not inspect.isroutine(function) or "<lambda>" in name:
        raise _mistake(source, f"{where} holds what has no name of its own: write a function with `def`")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise _mistake(source, f"{where}: {name} is no plain function (async, or with yield): it would never run")
    try:
        inspect.signature(function).bind("happening", "tools")
    except TypeError:
        raise _mistake(source, f"{where}: {name} must take two arguments, the happening and the tools") from None
    if len(name) > _LONGEST:
        raise _mistake(source, f"{where}: the name of {name} is longer than {_LONGEST} characters")
    return name


def _mistake(source: str, words: str) -> ConfigurationError:
    return ConfigurationError([f"SEAMKEEPER_REACTIONS or an installed package: {source} {words}."])
