"""One sentence from an action to the page after it, in a cookie that lives for one look.

It is signed with a key of this process: cookies ignore ports, so another program of the same host could set one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "seamkeeper_said"
_KEY = secrets.token_bytes(32)
_LONGEST = 600
_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Toast:
    """What is said, and whether it is good."""

    said: str
    tone: str


def put(request: Request, response: Response, said: str, *, tone: str = "good") -> None:
    """The next page says it."""
    text = base64.urlsafe_b64encode(f"{tone}\n{said[:_LONGEST]}".encode("utf-8", "replace")).decode()
    is_secure = request.url.scheme == "https"
    response.set_cookie(
        _COOKIE, f"{_signed(text)}.{text}", max_age=_SECONDS, httponly=True, samesite="strict", secure=is_secure
    )


def take(request: Request) -> Toast | None:
    """What is to be said, if it was put by this process."""
    signature, _, text = request.cookies.get(_COOKIE, "").partition(".")
    if not text or not hmac.compare_digest(signature.encode(), _signed(text).encode()):
        return None
    try:
        tone, _, said = base64.urlsafe_b64decode(text).decode().partition("\n")
    except (binascii.Error, ValueError):
        return None
    return Toast(said, tone)


def forget(request: Request, response: Response) -> None:
    """It was said."""
    if _COOKIE in request.cookies:
        response.delete_cookie(_COOKIE, httponly=True, samesite="strict")


def _signed(text: str) -> str:
    return hmac.new(_KEY, text.encode(), "sha256").hexdigest()
