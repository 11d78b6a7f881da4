"""Which endpoints does Seam have, and what happens to every request before and after one of them?"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import other_api as other
from . import users_api as users
from .answers import faulty, refused
from .faults import Fault
from .params import Param, from_query, read_params
from .records import Json
from .refusals import Refusal, unauthorized
from .requests_log import Seen
from .world import World

Answer = Callable[[World, Json, str], Json]


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint: the verb of the SDK, besides which POST always works (Seam, OpenAPI)."""

    path: str
    verb: str
    params: Mapping[str, Param]
    answer: Answer


OPERATIONS = (
    Operation("/acs/users/get", "GET", users.SELECTOR, users.get_user),
    Operation("/acs/users/list", "GET", users.LIST, users.list_users),
    Operation("/acs/users/create", "POST", users.CREATE, users.create_user),
    Operation("/acs/users/update", "PATCH", users.UPDATE, users.update_user),
    Operation("/acs/users/delete", "DELETE", users.SELECTOR, users.delete_user),
    Operation("/acs/users/suspend", "POST", users.SELECTOR, users.suspend_user),
    Operation("/acs/users/unsuspend", "POST", users.SELECTOR, users.unsuspend_user),
    Operation("/acs/systems/get", "GET", other.SYSTEM, other.get_system),
    Operation("/acs/systems/list", "GET", other.SYSTEMS, other.list_systems),
    Operation("/acs/credentials/get", "GET", other.CREDENTIAL, other.get_credential),
    Operation("/connected_accounts/sync", "POST", other.ACCOUNT, other.sync_account),
    Operation("/events/get", "GET", other.EVENT, other.get_event),
    Operation("/events/list", "GET", other.EVENTS, other.list_events),
    Operation("/webhooks/create", "POST", other.WEBHOOK_CREATE, other.create_webhook),
    Operation("/webhooks/get", "GET", other.WEBHOOK, other.get_webhook),
    Operation("/webhooks/list", "GET", other.NONE, other.list_webhooks),
    Operation("/webhooks/update", "PUT", other.WEBHOOK_UPDATE, other.update_webhook),
    Operation("/webhooks/delete", "DELETE", other.WEBHOOK, other.delete_webhook),
    Operation("/workspaces/get", "GET", other.NONE, other.get_workspace),
)


def routes(world: World) -> list[Route]:
    """A route for each operation."""
    return [Route(each.path, _endpoint(world, each), methods=[each.verb, "POST"]) for each in OPERATIONS]


def _endpoint(world: World, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        started, at, request_id = time.monotonic(), world.now(), world.new_request_id()
        given = await _read(request, operation.params)
        fault = world.faults.take(operation.path, _system_of(world, given or {}))
        if fault is not None and fault.seconds:
            await asyncio.sleep(fault.seconds)
        response = _respond(fault, request_id, lambda: _answer(world, operation, request, given))
        response.headers["seam-request-id"] = request_id
        response.headers["date"] = format_datetime(world.now(), usegmt=True)
        seconds = time.monotonic() - started
        seen = Seen(at, request.method, operation.path, given or {}, response.status_code, seconds, request_id)
        world.requests.add(seen)
        return response

    return endpoint


async def _read(request: Request, spec: Mapping[str, Param]) -> Json | None:
    """The parameters as they were sent: a JSON object, or the query when there is no body. None if it is no object."""
    body = await request.body()
    if not body:
        return from_query(spec, parse_qsl(request.url.query, keep_blank_values=True))
    try:
        given = json.loads(body)
    except ValueError:
        return None
    return given if isinstance(given, dict) else None


def _system_of(world: World, given: Json) -> str | None:
    """The access system a request is about, or that its user is in."""
    user = world.users.get(str(given.get("acs_user_id")))
    found = user.acs_system_id if user else given.get("acs_system_id")
    return found if isinstance(found, str) else None


def _respond(fault: Fault | None, request_id: str, answer: Callable[[], Json]) -> Response:
    """The proper answer, unless a fault takes its place; a late fault only hides it."""
    is_broken = fault is not None and fault.kind != "slow"
    if fault is not None and is_broken and not fault.is_late:
        return faulty(fault, request_id)
    try:
        response: Response = JSONResponse({**answer(), "ok": True})
    except Refusal as refusal:
        response = refused(refusal, request_id)
    return faulty(fault, request_id) if fault is not None and is_broken else response


def _answer(world: World, operation: Operation, request: Request, given: Json | None) -> Json:
    """What the operation gives. Raises Refusal."""
    if not _is_authorized(world, request):
        raise unauthorized()
    if given is None:
        raise Refusal(400, "invalid_json", "The request body is not a JSON object")
    params = read_params(operation.params, given)
    with world.lock:
        world.settle()
        return operation.answer(world, params, str(request.base_url).rstrip("/"))


def _is_authorized(world: World, request: Request) -> bool:
    """The API key, or the personal access token with the workspace's id (Seam, authentication)."""
    token = request.headers.get("authorization", "")
    if token == f"Bearer {world.personal_access_token}":
        return request.headers.get("seam-workspace") == world.workspace_id
    return token == f"Bearer {world.api_key}"
