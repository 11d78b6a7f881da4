"""What did Seam's answer mean? Every status and transport error becomes Temporary or Permanent here.

Imported only by who has called Seam: the SDK takes more than a second to import, and the scheduler never calls.
"""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
from seam.exceptions import SeamError, SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError

from seamkeeper.errors import Permanent, Temporary
from workers.seam_errors import Heard, NoAnswer, NotFound, RefusesUs

IS_AN_ANSWER = (SeamError, httpx.HTTPError, ValueError)  # what the SDK raises of what came back, or did not
_TEMPORARY_STATUS = (408, 409, 425, 429)
_LONGEST_WORD = 200  # characters, as the database keeps them
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


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
