"""`POST /webhooks/seam`: read, verify, understand, queue, answer. The whole way of a request on one screen.

Answers (DESIGN.md's contract): 204 accepted, duplicate or quarantined; 401 not proven; 413 too large; 503 not stored.
None of them says why: a stranger learns nothing.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from receiver.intake import NotStored
from receiver.signature import NotProven, Proof, proof_of
from receiver.state import State
from seamkeeper import clock, logs
from seamkeeper.accept import event_job, unreadable_job
from seamkeeper.errors import UnreadableEvent
from seamkeeper.events import quarantine_id, read_event
from seamkeeper.rqjob import Job

_log = logs.get()
_RETRY_AFTER = {"retry-after": "5"}
_CLOSE = {"connection": "close"}  # what is left of the body is not read


class TooLarge(Exception):
    """The body is over the cap."""


async def receive(request: Request) -> Response:
    """One delivery."""
    state: State = request.scope["state"]["door"]
    proof = proof_of(request.scope["headers"])
    try:
        body = await _read(request, state.settings.max_body_bytes)
        state.keyring.verify(proof, body)
    except TooLarge:
        return _refuse(request, proof, 413, "too_large", headers=_CLOSE)
    except NotProven:
        return _refuse(request, proof, 401, "bad_signature")
    except ClientDisconnect:
        return _refuse(request, proof, 400, "invalid")  # nobody is there to read it
    name, job = _understand(body, proof.message_id)
    try:
        await state.intake.take(name, job)
    except NotStored:
        state.tally.count("unavailable")
        _log.warning("webhook.not_stored", event_id=name)
        return Response(status_code=503, headers=_RETRY_AFTER)
    return Response(status_code=204)


async def _read(request: Request, most: int) -> bytes:
    """The raw body. Counted on the stream: a Content-Length may lie, and may be missing."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _understand(body: bytes, delivery: str) -> tuple[str, Job]:
    """The name to remember and the job: of an event, or of a body that Seam signed and nobody can read."""
    received_at, text = clock.now(), body.decode()  # verified, so it is UTF-8
    try:
        event = read_event(text)
    except UnreadableEvent as error:
        name = quarantine_id(body)
        return name, unreadable_job(name, text, reason=str(error), received_at=received_at, delivery=delivery)
    job = event_job(
        event.event_id, event.event_type, text, received_at=received_at, source="webhook", delivery=delivery
    )
    return event.event_id, job


def _refuse(
    request: Request, proof: Proof, status: int, outcome: str, *, headers: dict[str, str] | None = None
) -> Response:
    sender = request.client.host if request.client else ""
    state: State = request.scope["state"]["door"]
    state.tally.reject(outcome, delivery_id=proof.message_id, sender=sender)
    return Response(status_code=status, headers=headers)
