"""The errors that come of Seam's answers, and what an answer's head says. workers/seam_answers.py makes them.

Temporary
├── NoAnswer    a time-out, a broken connection, a 5xx: what calls to a broken access system look like
└── RefusesUs   401: Seam does not accept our key
Permanent
└── NotFound    Seam itself says, in its own JSON, that there is no such thing
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from seamkeeper import clock
from seamkeeper.errors import Permanent, Temporary

LONGEST_WAIT = timedelta(minutes=30)  # that a Retry-After can make us wait


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
    except (ValueError, OverflowError):  # a year of ten digits is the latter
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
