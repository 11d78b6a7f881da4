"""Seam's API as the jobs need it: raw JSON out, every failure turned into Temporary or Permanent.

The SDK's defaults are hostile to a worker: a hung GET holds a job 90 s, a 429 sleeps inside the call, PATCH is never
retried, and what it raises includes raw httpx errors. So: 10 s, no retries of its own (RQ has them), POST, and one
border here. A 200 that is not the API's own JSON (a proxy's page) is an error: the SDK takes it for success.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
from httpx_retries import Retry
from seam.exceptions import SeamError, SeamHttpApiError, SeamHttpInvalidInputError, SeamHttpUnauthorizedError
from seam.seam import Seam

from seamkeeper import logs
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.settings import Settings
from workers.concurrent.deadline import remaining

_PAGE = 500
_LONGEST_WAIT = timedelta(minutes=30)
_TEMPORARY_STATUS = (408, 409, 425, 429)


class NotFound(Permanent):
    """Seam itself says, in its own JSON, that there is no such thing. A proxy's 404 page is not this."""


class SeamApi:
    """One client for all threads of a process; connects at the first call."""

    def __init__(self, told: Settings, *, count: Callable[[str], None]) -> None:
        self._told, self._count = told, count
        self._heard = threading.local()
        self._lock = threading.Lock()
        self._client: Any = None

    def get_user(self, acs_user_id: str) -> Mapping[str, Any] | None:
        """The user's raw JSON, or None when Seam says that there is no such user."""
        try:
            answer = self._call("GET", "/acs/users/get", {"acs_user_id": acs_user_id})
        except NotFound:
            return None
        user = answer.get("acs_user")
        if not isinstance(user, dict) or user.get("acs_user_id") != acs_user_id:
            raise Temporary(f"GET /acs/users/get {acs_user_id}: 200 without that user: not the API's own answer")
        return user

    def write(self, path: str, request: Mapping[str, Any]) -> str | None:
        """POST to an endpoint that answers `ok` (update, suspend, unsuspend); gives Seam's request id. Accepted is not
        applied: read the user again."""
        answer = self._call("POST", path, request)
        if answer.get("ok") is not True:
            raise Temporary(f"POST {path}: 200 without ok: it may not have reached Seam")
        return self.request_id()

    def user_pages(self, acs_system_id: str) -> Iterator[list[Mapping[str, Any]]]:
        """The users of an access system, a page at a time. Raises before the end when the list is not whole."""
        query: dict[str, Any] = {"acs_system_id": acs_system_id, "limit": _PAGE}
        cursors: set[str] = set()
        while True:
            answer = self._call("GET", "/acs/users/list", query)
            yield _objects(answer, "acs_users", "acs_user_id")
            cursor = _next_cursor(answer)
            if cursor is None:
                return
            if cursor in cursors:
                raise Temporary(f"GET /acs/users/list {acs_system_id}: the same page_cursor came twice")
            cursors.add(cursor)
            query = {**query, "page_cursor": cursor}

    def systems(self, **query: str) -> list[Mapping[str, Any]]:
        """All access systems, or with `connected_account_id` those of one account. Seam does not page them."""
        answer = self._call("GET", "/acs/systems/list", query)
        return _objects(answer, "acs_systems", "acs_system_id")

    def holder_of(self, acs_credential_id: str) -> str | None:
        """The acs_user_id a credential belongs to; None when it belongs to nobody. Raises `NotFound`."""
        answer = self._call("GET", "/acs/credentials/get", {"acs_credential_id": acs_credential_id})
        credential = answer.get("acs_credential")
        holder = credential.get("acs_user_id") if isinstance(credential, dict) else None
        return holder if isinstance(holder, str) else None

    def request_id(self) -> str | None:
        """Seam's id of this thread's last call, for its support."""
        return getattr(self._heard, "request_id", None)

    def close(self) -> None:
        """Closes the connections, if there are any."""
        if self._client is not None:
            self._client.client.close()

    def _call(self, method: str, path: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        self._heard.status, self._heard.retry_after, self._heard.request_id = None, None, None
        what = f"{method} {path} {arguments.get('acs_user_id') or arguments.get('acs_system_id') or ''}".rstrip()
        started = time.monotonic()
        try:
            client = self._open().client
            wait = remaining(self._told.seam_timeout.total_seconds())  # no longer than the job may run
            if method == "GET":
                answer = client.get(path, params=arguments, timeout=wait)
            else:
                answer = client.post(path, json=dict(arguments), timeout=wait)
        except (SeamError, httpx.HTTPError, ValueError) as error:
            raise self._translate(what, error) from error
        finally:
            status = self._heard.status or "none"
            self._count(f"seam_api_requests:{path}:{status}")
            milliseconds = round((time.monotonic() - started) * 1000)
            logs.get().info("seam.called", call=what, status=status, ms=milliseconds, request_id=self.request_id())
        if not isinstance(answer, dict):
            raise Temporary(f"{what}: {status} whose body is not the API's own JSON (a proxy's page?)")
        return answer

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = Seam(
                    **self._credentials(),
                    endpoint=self._told.endpoint,
                    timeout=self._told.seam_timeout.total_seconds(),
                    retries=Retry(total=0),
                    httpx_options={"event_hooks": {"response": [self._hear]}},
                )
            return self._client

    def _credentials(self) -> dict[str, Any]:
        if self._told.api_key:
            return {"api_key": self._told.api_key}
        return {"personal_access_token": self._told.personal_access_token, "workspace_id": self._told.workspace_id}

    def _hear(self, response: httpx.Response) -> None:
        """The SDK's errors do not carry Retry-After; the response does."""
        self._heard.status = response.status_code
        self._heard.retry_after = _seconds(response.headers.get("retry-after"))
        self._heard.request_id = response.headers.get("seam-request-id")

    def _translate(self, what: str, error: Exception) -> Temporary | Permanent:
        status = self._heard.status
        if status is None:
            return Temporary(f"{what}: no answer ({type(error).__name__})")
        if isinstance(error, SeamHttpUnauthorizedError) or status == 401:
            return Temporary(f"{what}: 401, Seam does not accept the API key", delay=timedelta(minutes=1))
        if status in _TEMPORARY_STATUS or status >= 500:
            return Temporary(f"{what}: {status}{_words(error)}", delay=self._heard.retry_after)
        if not isinstance(error, SeamHttpApiError):
            return Temporary(f"{what}: {status}, not Seam's own answer (check SEAM_ENDPOINT and proxies)")
        if status == 404:
            return NotFound(f"{what}: 404{_words(error)}")
        return Permanent(f"{what}: {status}{_words(error)}")


def _words(error: Exception) -> str:
    """What Seam said about it: type, message and the fields it refuses."""
    if not isinstance(error, SeamHttpApiError):
        return ""
    words = f" {error.code}: {error}"
    if isinstance(error, SeamHttpInvalidInputError):
        fields = ", ".join(" ".join([each.parameter_name, *each.error_messages]) for each in error.validation_errors)
        words += f" ({fields})" if fields else ""
    return words


def _seconds(header: str | None) -> timedelta | None:
    """Retry-After in seconds; Seam documents none, proxies send it."""
    if header is None or not header.strip().isdecimal():
        return None
    return min(timedelta(seconds=int(header.strip()[:9])), _LONGEST_WAIT)


def _objects(answer: Mapping[str, Any], key: str, id_name: str) -> list[Mapping[str, Any]]:
    found = answer.get(key)
    if not isinstance(found, list) or not all(
        isinstance(each, dict) and isinstance(each.get(id_name), str) for each in found
    ):
        raise Temporary(f"200 without a list of {key}: not the API's own answer")
    return found


def _next_cursor(answer: Mapping[str, Any]) -> str | None:
    """None at the end; Seam's own fake sends no `pagination` at all and one page."""
    pagination = answer.get("pagination")
    if not isinstance(pagination, dict) or not pagination.get("has_next_page"):
        return None
    cursor = pagination.get("next_page_cursor")
    if not isinstance(cursor, str) or not cursor:
        raise Temporary("GET /acs/users/list: there is a next page, and no cursor to it")
    return cursor
