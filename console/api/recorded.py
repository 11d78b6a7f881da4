"""A write by a program: the line in the audit before it, its outcome after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.web.asking import queues_of
from console.web.people import Person, person_of
from console.web.state import Console, console_of
from seamkeeper import audit
from seamkeeper.queues import Queues


@dataclass(slots=True)
class Write:
    """What a write works with; `detail` (ids and numbers) goes into the audit."""

    console: Console
    person: Person
    queues: Queues
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """Who, for the tables and for the reason of a reconcile."""
        return f"{self.person.name} (API)"


@contextmanager
def recorded(
    request: Request, action: str, *, kind: str | None = None, subject_id: str | None = None
) -> Iterator[Write]:
    """One line, such as `desired.put`; HTTPException inside is a refusal, stores that are away a failure."""
    console, person = console_of(request), person_of(request)
    with console.engine.begin() as connection:
        line = audit.begin(
            connection, who=person.name, role=person.role, action=action, kind=kind, subject_id=subject_id
        )
    write = Write(console, person, queues_of(console))
    try:
        yield write
    except HTTPException as refusal:
        _end(console, line, "refused", reason=refusal.detail)
        raise
    except (SQLAlchemyError, RedisError, OSError) as error:
        try:
            _end(console, line, "failed", reason=type(error).__name__)  # without its words: a driver's hold values
        except SQLAlchemyError:
            raise error from None  # the line without an outcome says that it is not known
        raise
    _end(console, line, "done", detail=write.detail)


def _end(console: Console, line: int, outcome: audit.Outcome, **more: Any) -> None:
    with console.engine.begin() as connection:
        audit.end(connection, line, outcome, **more)
