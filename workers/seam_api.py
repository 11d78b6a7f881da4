"""Seam's API as the jobs need it: raw JSON out, every failure turned into Temporary or Permanent.

The SDK's defaults are hostile to a worker: a hung GET holds a job 90 s, a 429 sleeps inside the call, PATCH is never
retried, and what it raises includes raw httpx errors. So: 10 s, no retries of its own (RQ has them), POST, and one
border here. A 200 that is not the API's own JSON (a proxy's page) is an error: the SDK takes it for success.
"""

from __future__ import annotations

import functools
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
from httpx_retries import Retry
from redis.exceptions import RedisError
from rq import get_current_job

from seamkeeper import clock, logs
from seamkeeper.errors import Parked, Permanent, Postponed, Temporary
from seamkeeper.histograms import observed
from seamkeeper.queues import RESYNC
from seamkeeper.settings import Settings
from workers import calls
from workers.budget import Budget
from workers.circuit import Circuits
from workers.concurrent.deadline import remaining
from workers.seam_errors import Heard, NotFound, RefusesUs

__all__ = ["BadCursor", "NotFound", "RefusesUs", "SeamApi", "UserPage"]

MOST_EVENTS = 500  # Seam's own default; a window with as many may hold more
_PAGE = 500


class BadCursor(Temporary):
    """A page_cursor leads nowhere (any more): the list begins anew."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page of raw users; `cursor` leads to the next one, None at the end."""

    users: list[Mapping[str, Any]]
    cursor: str | None


class SeamApi:
    """One client for all threads of a process; connects at the first call.

    With a budget and circuits every call asks both before (workers/budget.py, workers/circuit.py) and may raise
    `Postponed` and `Parked` without having been made. `acs_system_id`, where a caller knows it, says whose circuit.
    """

    def __init__(
        self, told: Settings, *, count: Callable[[Mapping[str, int]], None], budget: Budget | None = None,
        circuits: Circuits | None = None,
    ) -> None:  # fmt: skip
        self._told, self._count, self._budget, self._circuits = told, count, budget, circuits
        self._local = threading.local()
        self._lock = threading.Lock()
        self._client: Any = None

    def get_user(self, acs_user_id: str, acs_system_id: str | None = None) -> Mapping[str, Any] | None:
        """The user's raw JSON, or None when Seam says that there is no such user."""
        try:
            answer = self._call("GET", "/acs/users/get", {"acs_user_id": acs_user_id}, acs_system_id)
        except NotFound:
            return None
        user = answer.get("acs_user")
        if not isinstance(user, dict) or user.get("acs_user_id") != acs_user_id:
            raise Temporary(f"GET /acs/users/get {acs_user_id}: 200 without that user: not the API's own answer")
        return user

    def write(self, path: str, request: Mapping[str, Any], acs_system_id: str | None = None) -> str | None:
        """POST to an endpoint that answers `ok` (update, suspend, unsuspend); gives Seam's request id. Accepted is not
        applied: read the user again."""
        answer = self._call("POST", path, request, acs_system_id)
        if answer.get("ok") is not True:
            raise Temporary(f"POST {path}: 200 without ok: it may not have reached Seam")
        return self.request_id()

    def create_user(self, request: Mapping[str, Any]) -> str:
        """POST /acs/users/create; gives the new acs_user_id. Seam has no idempotency key: after a `Temporary` error
        that is not `Postponed` the user may have been made, and only looking tells."""
        answer = self._call("POST", "/acs/users/create", request, request.get("acs_system_id"))
        user = answer.get("acs_user")
        acs_user_id = user.get("acs_user_id") if isinstance(user, dict) else None
        if not isinstance(acs_user_id, str) or not acs_user_id:
            raise Temporary("POST /acs/users/create: 200 without a user: it may have been made all the same")
        return acs_user_id

    def user_page(self, acs_system_id: str, page_cursor: str | None = None) -> UserPage:
        """One page of the users of an access system: the first, or the one a cursor leads to. Raises `BadCursor` when
        Seam does not take the cursor, or answers with the same one."""
        query: dict[str, Any] = {"acs_system_id": acs_system_id, "limit": _PAGE}
        query |= {"page_cursor": page_cursor} if page_cursor else {}
        try:  # a list that was begun is finished: its pages do not wait behind events
            answer = self._call("GET", "/acs/users/list", query, acs_system_id, is_live=bool(page_cursor))
        except Permanent as error:
            if page_cursor and self._heard().status == 400:
                raise BadCursor(str(error)) from error
            raise
        found, cursor = _objects(answer, "acs_users", "acs_user_id"), _next_cursor(answer)
        if cursor is not None and cursor == page_cursor:
            raise BadCursor(f"GET /acs/users/list {acs_system_id}: the same page_cursor came twice")
        return UserPage(found, cursor)

    def user_pages(self, acs_system_id: str) -> Iterator[list[Mapping[str, Any]]]:
        """All of them, a page at a time. Raises before the end when the list is not whole."""
        page = self.user_page(acs_system_id)
        cursors: set[str] = set()
        yield page.users
        while page.cursor is not None:
            if page.cursor in cursors:
                raise BadCursor(f"GET /acs/users/list {acs_system_id}: the same page_cursor came twice")
            cursors.add(page.cursor)
            page = self.user_page(acs_system_id, page.cursor)
            yield page.users

    def look_at(self, acs_system_id: str, acs_user_id: str | None) -> None:
        """One call about an access system, for what it says of the system: of this user, or a list of one."""
        if acs_user_id:
            self.get_user(acs_user_id, acs_system_id)
        else:
            self._call("GET", "/acs/users/list", {"acs_system_id": acs_system_id, "limit": 1}, acs_system_id)

    def systems(self, **query: str) -> list[Mapping[str, Any]]:
        """All access systems, or with `connected_account_id` those of one account. Seam does not page them."""
        answer = self._call("GET", "/acs/systems/list", query)
        return _objects(answer, "acs_systems", "acs_system_id")

    def events(self, after: datetime, before: datetime, *, offset: int = 0) -> list[Mapping[str, Any]]:
        """Up to `MOST_EVENTS` events between two moments, both excluded, in whatever order Seam gives them. `offset`:
        so many are left out; Seam calls it unstable, and it is for a window too narrow to be halved."""
        query: dict[str, Any] = {"between": [clock.iso(after), clock.iso(before)], "limit": MOST_EVENTS}
        answer = self._call("POST", "/events/list", query | ({"unstable_offset": offset} if offset else {}))
        return _objects(answer, "events", "event_id")

    def workspace_id(self) -> str:
        """Of the workspace that the key belongs to."""
        workspace = self._call("GET", "/workspaces/get", {}).get("workspace")
        found = workspace.get("workspace_id") if isinstance(workspace, dict) else None
        if not isinstance(found, str) or not found:
            raise Temporary("GET /workspaces/get: 200 without a workspace: not the API's own answer")
        return found

    def skew(self) -> timedelta | None:
        """How far our clock was ahead of Seam's at this thread's last call, by its `Date` header (whole seconds)."""
        return self._heard().skew

    def holder_of(self, acs_credential_id: str) -> str | None:
        """The acs_user_id a credential belongs to; None when it belongs to nobody. Raises `NotFound`."""
        answer = self._call("GET", "/acs/credentials/get", {"acs_credential_id": acs_credential_id})
        credential = answer.get("acs_credential")
        holder = credential.get("acs_user_id") if isinstance(credential, dict) else None
        return holder if isinstance(holder, str) else None

    def webhooks(self) -> list[Mapping[str, Any]]:
        """All webhooks of the workspace. Seam does not page them."""
        return _objects(self._call("GET", "/webhooks/list", {}), "webhooks", "webhook_id")

    def create_webhook(self, url: str, event_types: Sequence[str]) -> Mapping[str, Any]:
        """The new webhook with its secret. After a `Temporary` error it may have been made: only a list tells."""
        answer = self._call("POST", "/webhooks/create", {"url": url, "event_types": list(event_types)})
        webhook = answer.get("webhook")
        if not isinstance(webhook, dict) or not isinstance(webhook.get("webhook_id"), str):
            raise Temporary("POST /webhooks/create: 200 without a webhook: it may have been made all the same")
        return webhook

    def update_webhook(self, webhook_id: str, event_types: Sequence[str]) -> None:
        """The event types are all that Seam can change of a webhook. List them to see what became of it."""
        self._call("POST", "/webhooks/update", {"webhook_id": webhook_id, "event_types": list(event_types)})

    def delete_webhook(self, webhook_id: str) -> None:
        """Removes it; one that is gone already is fine."""
        with suppress(NotFound):
            self._call("POST", "/webhooks/delete", {"webhook_id": webhook_id})

    def request_id(self) -> str | None:
        """Seam's id of this thread's last call, for its support."""
        return self._heard().request_id

    def close(self) -> None:
        """Closes the connections, if there are any."""
        if self._client is not None:
            self._client.client.close()

    def _call(
        self, method: str, path: str, arguments: Mapping[str, Any], acs_system_id: str | None = None, *,
        is_live: bool = False,
    ) -> Mapping[str, Any]:  # fmt: skip
        """One call, when the circuit and the budget let it through. `is_live` puts it before other work of a resync."""
        self._local.heard = Heard()
        passing: AbstractContextManager[None] = nullcontext()
        if self._circuits and acs_system_id:
            kind = "read" if method == "GET" else "write"
            passing = self._circuits.passing(acs_system_id, arguments.get("acs_user_id"), kind=kind)
        try:
            with passing:
                waited = self._budget.wait_for_turn(is_live=is_live or not _is_resync()) if self._budget else 0.0
                return self._ask(method, path, arguments, acs_system_id, waited)
        except Postponed as error:
            self._count_quietly({f"seam_api_postponed:{'circuit' if isinstance(error, Parked) else 'limit'}": 1})
            raise

    def _ask(
        self, method: str, path: str, arguments: Mapping[str, Any], acs_system_id: str | None, waited: float
    ) -> Mapping[str, Any]:
        what = f"{method} {path} {arguments.get('acs_user_id') or arguments.get('acs_system_id') or ''}".rstrip()
        started, usual = time.monotonic(), self._told.seam_timeout.total_seconds()
        wait = remaining(usual)  # no longer than the job may run
        try:
            client = self._open().client
            if method == "GET":
                answer = client.get(path, params=arguments, timeout=wait)
            else:
                answer = client.post(path, json=dict(arguments), timeout=wait)
        except Exception as error:
            from workers.seam_answers import IS_AN_ANSWER, translate

            if not isinstance(error, IS_AN_ANSWER):
                raise
            raise translate(what, error, self._heard(), was_cut_short=wait < usual) from error
        finally:
            took = time.monotonic() - started
            heard = self._heard()
            calls.note(method, path, status=heard.status, took=took, request_id=heard.request_id)
            self._note(what, path, acs_system_id, took, waited)
        if not isinstance(answer, dict):
            raise Temporary(f"{what}: {self._heard().status} whose body is not the API's own JSON (a proxy's page?)")
        return answer

    def _note(self, what: str, path: str, acs_system_id: str | None, took: float, waited: float) -> None:
        """A line, the counters, and what everybody must know: that Seam wants to be asked less, or later."""
        heard = self._heard()
        status = heard.status or "none"
        logs.get().info(calls.CALLED, call=what, status=status, ms=round(took * 1000), request_id=heard.request_id)
        fields = {f"seam_api_requests:{path}:{status}": 1}
        fields |= observed(f"seam_api_request_duration:{path}", took) | observed("seam_api_limit_wait:all", waited)
        self._count_quietly(fields)
        if heard.status is not None and self._circuits and acs_system_id:
            self._circuits.answered(acs_system_id)
        is_too_many = heard.status == 429
        if self._budget and (is_too_many or (heard.status == 503 and heard.retry_after)):
            rate = self._budget.refused(is_too_many=is_too_many, retry_after=heard.retry_after)
            logs.get().warning("seam.refused", status=status, rate=rate, retry_after=str(heard.retry_after or ""))

    def _count_quietly(self, fields: Mapping[str, int]) -> None:
        """What Seam answered must not be lost because it could not be counted."""
        try:
            self._count(fields)
        except RedisError as error:
            logs.get().warning("counters.not_written", error=type(error).__name__)

    def _heard(self) -> Heard:
        return getattr(self._local, "heard", None) or Heard()

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                from seam.seam import Seam  # takes more than a second: only for who calls

                self._client = Seam(
                    **self._credentials(),
                    endpoint=self._told.endpoint,
                    timeout=self._told.seam_timeout.total_seconds(),
                    retries=Retry(total=0),
                    httpx_options={"event_hooks": {"response": [self._listen]}, "verify": _trusted()},
                )
            return self._client

    def _credentials(self) -> dict[str, Any]:
        if self._told.api_key:
            return {"api_key": self._told.api_key}
        return {"personal_access_token": self._told.personal_access_token, "workspace_id": self._told.workspace_id}

    def _listen(self, response: httpx.Response) -> None:
        self._local.heard = Heard.of(response)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted: read once, which takes 60 ms, and not for each client."""
    return httpx.create_ssl_context()


def _is_resync() -> bool:
    """Nobody waits for the jobs of this queue."""
    job = get_current_job()
    return job is not None and job.origin == RESYNC


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
