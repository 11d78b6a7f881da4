"""No, in the form of who asked: a sentence for people, the envelope of errors for programs (paths below /api/)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import PlainTextResponse, Response

# Status -> the word that a program compares. A part of the API's contract (docs/api.md).
TYPES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 413: "too_large", 415: "bad_request", 422: "invalid_input", 429: "too_many_requests",
    500: "internal_error", 503: "unavailable",
}  # fmt: skip


def refusal(path: str, sentence: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that comes no further."""
    if path.startswith("/api/"):
        return envelope(status, sentence, headers=headers)
    return PlainTextResponse(f"{sentence}\n", status, dict(headers or {}))


def envelope(
    status: int, message: str, *, fields: Mapping[str, Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """`{"error": {"type": …, "message": …, "fields": {…}}}`; `fields` only where single values are wrong."""
    error: dict[str, Any] = {"type": TYPES.get(status, "bad_request"), "message": message}
    if fields:
        error["fields"] = {name: list(sentences) for name, sentences in fields.items()}
    body = json.dumps({"error": error})
    return Response(body, status, dict(headers or {}), media_type="application/json")
