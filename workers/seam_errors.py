"""What did Seam's answer mean? Every status and transport error becomes Temporary or Permanent here.

Temporary
├── NoAnswer    a time-out, a broken connection, a 5xx: what calls to a broken access system look like
└── RefusesUs   401: Seam does not accept our key
Permanent
└── NotFound    Seam itself says, in its own JSON, that there is no such thing
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from seam.exceptions import SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError

from seamkeeper import clock
from seamkeeper.errors import Permanent, Temporary

LONGEST_WAIT = timedelta(minutes=30)  # that a Retry-After can make us wait
_TEMPORARY_STATUS = (408, 409, 425, 429)
_LONGEST_WORD = 200  # characters, as the database keeps them
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class NotFound(Permanent):
    """Seam itself says, in its own JSON, that there is no such thing. A proxy's 404 page is not this."""


class NoAnswer(Temporary):
    """The call failed as calls to a broken access system fail: a time-out, a broken connection, a 5xx."""


class RefusesUs(Temporary):
    """Seam does not accept our key. Temporary: keys are mended, and what waits shall then be done."""


@dataclass(slots=True)
class Heard:
    """What a response's head said; the SDK's errors do not carry it. Without a status there was no response."""

    status: int | None = None
    retry_after: timedelta | None = None
    request_id: str | None = None
    skew: timedelta | None = None  # how far our clock was ahead of the sender's `Date`, which has whole seconds

    @classmethod
    def of(cls, response: httpx.Response) -> Heard:
        """From the response, before the SDK looks at it."""
        headers = response.headers
        asked = _wait(headers.get("retry-after"), headers.get("date"))
        date = _moment(headers.get("date"))
        skew = clock.now() - date if date else None
        return cls(response.status_code, asked, headers.get("seam-request-id"), skew)


def translate(what: str, error: Exception, heard: Heard, *, was_cut_short: bool) -> Temporary | Permanent:
    """The error of ours for one of the SDK's or httpx's. `was_cut_short`: the job's end left less than the usual time,
    so that a time-out says nothing about the other side."""
    found = _translate(what, error, heard, was_cut_short=was_cut_short)
    found.cause, found.request_id = _cause(error, heard), heard.request_id
    if isinstance(error, SeamHttpInvalidInputError) and error.validation_errors:
        found.field = str(error.validation_errors[0].parameter_name)[:_LONGEST_WORD]
    return found


def _translate(what: str, error: Exception, heard: Heard, *, was_cut_short: bool) -> Temporary | Permanent:
    status = heard.status
    if status is None:
        words = f"{what}: no answer ({type(error).__name__})"
        is_ours = was_cut_short and isinstance(error, httpx.TimeoutException)
        return Temporary(words) if is_ours else NoAnswer(words)
    if isinstance(error, SeamHttpUnauthorizedError) or status == 401:
        return RefusesUs(f"{what}: 401, Seam does not accept the API key", delay=timedelta(minutes=1))
    if status >= 500:
        return NoAnswer(f"{what}: {status}{_words(error)}", delay=heard.retry_after)
    if status in _TEMPORARY_STATUS:
        return Temporary(f"{what}: {status}{_words(error)}", delay=heard.retry_after)
    if not isinstance(error, SeamHttpApiError):
        return Temporary(f"{what}: {status}, not Seam's own answer (check SEAM_ENDPOINT and proxies)")
    if status == 404:
        return NotFound(f"{what}: 404{_words(error)}")
    return Permanent(f"{what}: {status}{_words(error)}")


def _cause(error: Exception, heard: Heard) -> str:
    """One word for all answers like this one: the status, and Seam's own code where it refuses something."""
    status = heard.status
    if status is None:
        return "seam:no_answer"
    if isinstance(error, SeamHttpUnauthorizedError) or status == 401:
        return "seam:401"
    if status >= 500:
        return "seam:5xx"
    if status == 429:
        return "seam:limit"
    if not isinstance(error, SeamHttpApiError):
        return "seam:not_its_own_answer"
    code = str(error.code)
    is_told = status not in (404, *_TEMPORARY_STATUS) and _CODE.fullmatch(code)
    return f"seam:{status}:{code}" if is_told else f"seam:{status}"


def _words(error: Exception) -> str:
    """What Seam said about it: type, message and the fields it refuses."""
    if not isinstance(error, SeamHttpApiError):
        return ""
    words = f" {error.code}: {error}"
    if isinstance(error, SeamHttpInvalidInputError):
        fields = ", ".join(" ".join([each.parameter_name, *each.error_messages]) for each in error.validation_errors)
        words += f" ({fields})" if fields else ""
    return words


def _wait(header: str | None, date: str | None) -> timedelta | None:
    """Retry-After, seconds or a moment (RFC 9110, 10.2.3); Seam documents none, proxies send it. The moment is one of
    the sender's clock, so it is held against the sender's `Date`."""
    if not header:
        return None
    if header.strip().isdecimal():
        return min(timedelta(seconds=int(header.strip()[:9])), LONGEST_WAIT)
    until = _moment(header)
    if until is None:
        return None
    return min(max(until - (_moment(date) or clock.now()), timedelta()), LONGEST_WAIT)


def _moment(header: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
