"""How is the simulator steered from outside? `/_simulator/…`, JSON in and out."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .controls import Controls
from .records import Json
from .refusals import Refusal
from .world import World

Act = Callable[..., Json | None]


def routes(world: World) -> list[Route]:
    """Everything that can be asked or done. The keys of the JSON (or query) are the arguments of the function."""
    do = Controls(world)
    table: list[tuple[str, str, Act]] = [
        ("GET", "/state", world.summary),
        ("GET", "/users", do.list_users),
        ("POST", "/users/add", do.add_user),
        ("POST", "/users/edit", do.edit_user),
        ("POST", "/users/error", world.raise_error),
        ("POST", "/users/warning", world.raise_warning),
        ("POST", "/users/clear", world.clear_issue),
        ("POST", "/users/delete", do.delete_user),
        ("POST", "/systems/disconnect", world.disconnect),
        ("POST", "/systems/connect", world.connect),
        ("POST", "/credentials/issue", do.issue_credential),
        ("POST", "/credentials/delete", world.delete_credential),
        ("POST", "/events/emit", do.emit),
        ("POST", "/mutations/settings", do.set_mutations),
        ("POST", "/mutations/drain", world.drain),
        ("GET", "/faults", do.list_faults),
        ("POST", "/faults/add", do.add_fault),
        ("POST", "/faults/clear", world.faults.clear),
        ("POST", "/outage", do.set_outage),
        ("GET", "/deliveries", do.list_deliveries),
        ("POST", "/deliveries/settings", do.set_deliveries),
        ("POST", "/deliveries/resend", do.resend),
        ("POST", "/deliveries/recover", do.recover),
        ("POST", "/webhooks/rotate_secret", do.rotate_secret),
        ("GET", "/requests", do.list_requests),
        ("POST", "/requests/clear", world.requests.clear),
        ("POST", "/alive", do.set_alive),
        ("POST", "/speed", do.set_speed),
    ]
    return [Route(path, _endpoint(act), methods=[method]) for method, path, act in table]


def _endpoint(act: Act) -> Callable[[Request], Awaitable[Response]]:
    signature = inspect.signature(act)

    async def endpoint(request: Request) -> Response:
        try:
            given = await _given(request)
            signature.bind(**given)
            answer = act(**given)
        except Refusal as refusal:
            return _no(refusal.status, refusal.message)
        except KeyError as exc:
            return _no(404, f"not found: {exc.args[0]}")
        except (TypeError, ValueError) as exc:
            return _no(400, str(exc))
        return JSONResponse({**(answer or {}), "ok": True})

    return endpoint


async def _given(request: Request) -> dict[str, Any]:
    body = await request.body()
    given = json.loads(body) if body else dict(request.query_params)
    if not isinstance(given, dict):
        raise ValueError("expected a JSON object")
    return given


def _no(status: int, message: str) -> Response:
    return JSONResponse({"ok": False, "message": message}, status_code=status)
