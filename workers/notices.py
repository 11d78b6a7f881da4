"""What people are told outside of the console: which happenings, in which words, and no more than once an hour each.

A notice waits half a minute and is worded when it is sent: a thousand users with the same new code are one notice with
their number. Ids, codes, counts and links only: it leaves the house through somebody else's service.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from seamkeeper import clock, logs, notices
from seamkeeper.queues import QUEUES, SEND_NOTICE

if TYPE_CHECKING:
    from workers.tools import Tools

_SOON = timedelta(seconds=30)
_COMMITTED = timedelta(seconds=2)  # the least: who asks has not yet committed what the job will look for
_HOUR = timedelta(hours=1)
_COLUMN = 200  # characters of a name
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_SELF = SEND_NOTICE.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Words:
    """A notice as it is read; `path` is the console's page about it."""

    title: str
    body: str
    path: str = "/"


def tell(
    tools: Tools, name: str, words: Words, *, connection: Connection | None = None, delay: timedelta = _SOON,
    about: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Keeps a notice and asks for its sending; False when it was told before, or nobody shall be told anything.

    `name` is one transition of one thing. With `about`, the words are made anew when it is sent (`words_now`). Give the
    `connection` of an open transaction where there is one: SQLite lets only one write.
    """
    if not tools.settings.notify:
        return False
    name = _short(name, _COLUMN)
    with _open(tools, connection) as transaction:
        if not notices.write(transaction, name, title=words.title, body=_with_link(tools, words)):
            return False
        # Asked for before the commit: one that is rolled back is not found, one that is committed is never forgotten.
        tools.queues.ask_notice(name, about or {}, delay=delay)
    return True


def issue_raised(
    tools: Tools, *, kind: str, code: str, acs_system_id: str | None, acs_user_id: str | None = None,
    connection: Connection | None = None,
) -> None:  # fmt: skip
    """An issue is new: an `error` of Seam's or a `finding` of ours. Warnings are for the console."""
    if kind == "warning" or not tools.settings.notify:
        return
    code = code[:200]  # as the table of issues keeps it
    about = {"what": "issue", "kind": kind, "code": code, "acs_system_id": acs_system_id}
    words = _issue_words(about, 1, acs_user_id)
    _once_an_hour(tools, f"issue:{kind}:{code}:{acs_system_id or ''}", words, about, connection)


def dead(tools: Tools, *, job: str, reason: str, event_id: str | None = None, acs_user_id: str | None = None) -> None:
    """A job will not be tried again: told for the first of a cause. Never raises: who calls has an error in hand."""
    if job == _SELF or not tools.settings.notify:  # whoever cannot be told would be told of it
        return
    cause = hashlib.sha256(re.sub(r"\S*\d\S*", "*", reason).encode()).hexdigest()[:16]
    about = {"what": "dead", "job": job, "event_id": event_id, "acs_user_id": acs_user_id}
    try:
        _once_an_hour(tools, f"dead:{job}:{cause}", _dead_words(about, 1), about, None)
    except (RedisError, SQLAlchemyError) as error:
        logs.get().warning("notice.not_kept", notice=f"dead:{job}", error=type(error).__name__)


def circuit(
    tools: Tools, subject: str, *, is_open: bool, because: str = "", connection: Connection | None = None
) -> None:
    """A circuit opened or closed: `subject` is an acs_system_id, or `seam` for all; `because` are words of ours.

    One that is told to be open is not told again. Closing one whose opening was not sent yet takes that back, so a
    circuit that flaps is told twice an hour at most, and what was told last is true.
    """
    if not tools.settings.notify:
        return
    of = "Seam's API" if subject == "seam" else f"the access system {_word(subject)}"
    path = "/" if subject == "seam" else _users_page(subject)
    beginning = f"{_short(f'circuit:{subject}', _COLUMN - 24)}:open"
    with _open(tools, connection) as transaction:
        opening, state = notices.newest_of(transaction, f"{beginning}:") or ("", "dead")
        is_told = state != "dead" and notices.state_of(transaction, _closing_of(opening)) is None
        if is_open and not is_told:
            body = f"Reads and repairs of {of} wait until it is back." + (f" Why: {because}." if because else "")
            words = Words(f"The circuit of {of} is open", body, path)
            _once_an_hour(tools, beginning, words, {"what": "circuit"}, transaction)
        elif not is_open and is_told and not notices.forget(transaction, opening, state="waiting"):
            words = Words(f"The circuit of {of} is closed", f"{of[0].upper()}{of[1:]} is back.", path)
            tell(tools, _closing_of(opening), words, connection=transaction, delay=_COMMITTED)


def words_now(tools: Tools, connection: Connection, name: str, about: Mapping[str, Any]) -> tuple[str, str] | None:
    """Title and body as things are now; None when there is nothing to tell any more."""
    if about["what"] == "circuit":  # an opening that nobody took until it closed
        return None if notices.state_of(connection, _closing_of(name)) else notices.words_of(connection, name)
    if about["what"] == "issue":
        number, acs_user_id = notices.count_issues(
            connection, kind=about["kind"], code=about["code"], acs_system_id=about["acs_system_id"]
        )
        words = _issue_words(about, number, acs_user_id)
    else:
        number = sum(tools.queues.redis.zcard(tools.queues.keys.failed(name)) for name in QUEUES)
        words = _dead_words(about, number)
    return (words.title, _with_link(tools, words)) if number else None


def _closing_of(opening: str) -> str:
    return opening.replace(":open:", ":closed:")


def _issue_words(about: Mapping[str, Any], number: int, acs_user_id: str | None) -> Words:
    code, system = _word(about["code"]), about["acs_system_id"]
    where = f" of the access system {_word(system)}" if system else ""
    if acs_user_id is None:
        whole = f"the access system {_word(system)}" if system else "this deployment"
        return Words(f"{code}", f"A {about['kind']} about {whole}: {code}.", _users_page(system))
    if number == 1:
        body = f"The user {acs_user_id}{where} has the {about['kind']} {code}."
        return Words(f"{code} on a user", body, f"/users/{quote(acs_user_id, safe='')}")
    body = f"{number} users{where} have the {about['kind']} {code}."
    return Words(f"{code} on {number} users", body, _users_page(system, "error" if about["kind"] == "error" else ""))


def _dead_words(about: Mapping[str, Any], number: int) -> Words:
    subject = f" of the event {about['event_id']}" if about["event_id"] else ""
    subject = subject or (f" of the user {about['acs_user_id']}" if about["acs_user_id"] else "")
    body = f"{about['job']}{subject} will not be tried again. The console says why."
    others = f" In all, {number} jobs are dead." if number > 1 else ""
    return Words(f"{about['job']} is dead", body + others, "/dead")


def _users_page(acs_system_id: str | None, health: str = "") -> str:
    chosen = {"system": acs_system_id or "", "health": health}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in chosen.items() if value)
    return f"/users?{query}" if query else "/users"


def _once_an_hour(
    tools: Tools, subject: str, words: Words, about: Mapping[str, Any] | None, connection: Connection | None
) -> None:
    """Now, or when it was told in this hour already, in the next: told then if it is still so."""
    now = clock.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    names = [f"{_short(subject, _COLUMN - 14)}:{hour:%Y-%m-%dT%H}" for hour in (this_hour, this_hour + _HOUR)]
    with _open(tools, connection) as transaction:
        is_new = tell(tools, names[0], words, connection=transaction, about=about)
        if not is_new and notices.state_of(transaction, names[0]) != "waiting":
            later = this_hour + _HOUR + _SOON - now
            tell(tools, names[1], words, connection=transaction, about=about, delay=later)


@contextmanager
def _open(tools: Tools, connection: Connection | None) -> Iterator[Connection]:
    if connection is not None:
        yield connection
        return
    with tools.engine.begin() as own:
        yield own


def _with_link(tools: Tools, words: Words) -> str:
    return f"{words.body}\n{tools.settings.console_url}{words.path}" if tools.settings.console_url else words.body


def _word(text: str | None) -> str:
    """A code or an id; what could be anything else is left out, since strangers write it."""
    return text if text and _WORD.fullmatch(text) else "(unreadable)"


def _short(name: str, at_most: int) -> str:
    """Within so many characters; of those that are longer no two become the same."""
    return name if len(name) <= at_most else f"{name[: at_most - 65]}:{hashlib.sha256(name.encode()).hexdigest()}"
