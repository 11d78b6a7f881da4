"""What do refusals and faults look like on the wire?"""

from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from .faults import Fault
from .refusals import Refusal, of_status

PROXY_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>some proxy</body></html>"


def refused(refusal: Refusal, request_id: str) -> Response:
    """Seam's error body."""
    return JSONResponse(refusal.to_json(request_id), status_code=refusal.status)


def faulty(fault: Fault, request_id: str) -> Response:
    """The answer that a fault gives instead of the proper one."""
    response: Response
    if fault.kind == "html":
        response = HTMLResponse(PROXY_PAGE.format(fault.status), status_code=fault.status)
    elif fault.kind == "bare_ok":
        response = JSONResponse({"ok": True})
    elif fault.kind == "redirect":
        response = RedirectResponse("https://example.com/moved", status_code=302)
    elif fault.kind == "drop":
        response = Dropped()
    elif fault.kind == "cut":
        response = Cut()
    elif fault.kind == "json":
        response = JSONResponse(fault.body, status_code=fault.status)
    else:
        response = refused(of_status(fault.status), request_id)
    if fault.retry_after is not None:
        response.headers["retry-after"] = fault.retry_after
    return response


class Dropped(Response):
    """No answer: the connection is closed before a byte of it."""

    def __init__(self) -> None:
        super().__init__(status_code=200)
        self.status_code = 0  # what the request log shows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # ASGI has no word for this. uvicorn's `receive` is a method of the object that holds the connection.
        _connection(receive).abort()
        await _has_seen_the_end(receive)


class Cut(Response):
    """Half of an answer: the connection is closed in the middle of it."""

    def __init__(self) -> None:
        super().__init__(b'{"acs_user": {"acs_user_id": "', headers={"content-length": "1000"})
        self.headers["content-type"] = "application/json"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        _connection(receive).close()
        await _has_seen_the_end(receive)


def _connection(receive: Receive) -> Any:
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the simulator dropped this connection on purpose")
    return transport


async def _has_seen_the_end(receive: Receive) -> None:
    """uvicorn must have, or it would write a 500 into the closed connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
