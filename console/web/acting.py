"""An action of a page: the role it takes, the line in the audit, what is said afterwards, and back to a page.

A page's module lists its actions as routes: `action("/users/{acs_user_id}/sync", sync, name="user.sync")`. The function
gets an `Asked`, does the thing and gives `Done`; raises `Refused` when it cannot be. Without JavaScript that is all: a
form posts, the answer is 303 to a page that says what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from console.web import toast
from console.web.asked import readable
from console.web.people import Person, need
from console.web.state import Console, console_of
from seamkeeper import audit
from seamkeeper.settings import Role

_LONGEST, _MOST = 1_048_576, 5000  # bytes and fields of a form

Form = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action works with: the connections, who asks, the path's parameters, the form's fields."""

    request: Request
    console: Console
    person: Person
    form: Form
    path: Mapping[str, str]

    def text(self, name: str) -> str:
        """A field of the form without spaces around it; empty when it is not there."""
        return next(iter(self.form.get(name, [])), "").strip()


@dataclass(frozen=True, slots=True)
class Done:
    """It was done: the sentence for the person, the page to show (our own), ids and numbers for the audit. `page`: the
    answer itself, where what was asked for is to be seen once (a reveal)."""

    said: str
    to: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    page: Response | None = None


class Refused(Exception):
    """It cannot be done, for a reason that the person can act on; `to` is the page that says so."""

    def __init__(self, sentence: str, *, to: str) -> None:
        super().__init__(sentence)
        self.to = to


class Shown(Exception):
    """Nothing was done: the answer is a page, such as a form with what was wrong in it."""

    def __init__(self, response: Response) -> None:
        super().__init__("shown")
        self.response = response


Act = Callable[[Asked], Done]


def action(path: str, act: Act, *, name: str, role: Role = "operator", kind: str | None = None) -> Route:
    """A route for POST. `name` is the audit's word (`user.sync`); `kind` what the last parameter of the path names."""

    async def endpoint(request: Request) -> Response:
        person = need(request, role)
        form = await _form(request)
        return await run_in_threadpool(_do, request, person, form)

    def _do(request: Request, person: Person, form: Form) -> Response:
        console = console_of(request)
        path_names = {key: readable(str(value)) for key, value in request.path_params.items()}
        subject_id = next(reversed(path_names.values()), None)
        try:
            with console.engine.begin() as connection:
                line = audit.begin(
                    connection, who=person.name, role=person.role, action=name, kind=kind, subject_id=subject_id
                )
        except (SQLAlchemyError, OSError) as error:  # without that line nothing is done
            raise HTTPException(503, "The database did not answer, so nothing was done. Try again later.") from error
        asked = Asked(request, console, person, form, path_names)
        try:
            done = act(asked)
        except Refused as refusal:
            _end(console, line, "refused", reason=str(refusal))
            return _back(request, refusal.to, str(refusal), tone="bad")
        except Shown as shown:
            _end(console, line, "refused", reason="not valid")
            return shown.response
        except HTTPException as refusal:
            _end(console, line, "refused", reason=str(refusal.detail))
            raise
        except (SQLAlchemyError, RedisError, OSError) as error:
            _try_to_end(console, line, error)
            raise HTTPException(
                503,
                "The database or Redis did not answer; what was asked may not be done. Look, then try again.",
            ) from error
        _end(console, line, "done", detail=done.detail)
        return done.page or _back(request, done.to, done.said)

    return Route(path, endpoint, methods=["POST"])


def _end(
    console: Console, line: int, outcome: audit.Outcome, *, reason: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    with console.engine.begin() as connection:
        audit.end(connection, line, outcome, reason=reason, detail=detail)


def _try_to_end(console: Console, line: int, error: Exception) -> None:
    """Without the error's words: a driver's hold values."""
    try:
        _end(console, line, "failed", reason=type(error).__name__)
    except SQLAlchemyError:
        return  # the line without an outcome says that it is not known


def _back(request: Request, to: str, said: str, *, tone: str = "good") -> Response:
    response = RedirectResponse(to, status_code=303)
    toast.put(request, response, said, tone=tone)
    return response


async def _form(request: Request) -> Form:
    size, parts = 0, []
    async for part in request.stream():
        size += len(part)
        if size > _LONGEST:
            raise HTTPException(413, "This form is too long.")
        parts.append(part)
    try:
        found = parse_qs(b"".join(parts).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise HTTPException(413, "This form has too many fields.") from None
    return {name: [readable(value) for value in values] for name, values in found.items()}
