"""Who is it? Basic login, bearer token, a proxy that signed somebody in, or, without any of these, this machine."""

from __future__ import annotations

import base64
import binascii
import getpass
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from console.web.people import Person
from console.web.refusals import refusal
from seamkeeper.settings import Login, Network, Role, Settings

OPEN = ("/livez", "/readyz")  # for probes; they say nothing about anybody
# Names and groups, as oauth2-proxy sets them, and as Authelia and others do.
_KINDS = (
    (("x-forwarded-email", "x-forwarded-user"), "x-forwarded-groups"),
    (("remote-user",), "remote-groups"),
)
_TRIES, _WINDOW = 10, 60.0  # wrong secrets from one address for one name, in seconds
_REMEMBERED = 10_000


class Access:
    """Puts the `Person` into the request's state, or answers 401, 403, 429."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.wrong = Wrong()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        found = self._who(Headers(scope=scope), _address(scope), scope["path"])
        if isinstance(found, Response):
            await found(scope, receive, send)
            return
        scope.setdefault("state", {})["person"] = found
        await self.app(scope, receive, send)

    def _who(self, headers: Headers, address: str, path: str) -> Person | Response:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._proven(self.settings.api_tokens, "", secret.strip(), address, path) or _ask(path)
        if scheme.lower() == "basic" and self.settings.console_logins:
            name, password = _credentials(secret)
            return self._proven(self.settings.console_logins, name, password, address, path) or _ask(path)
        if _is_within(address, self.settings.trusted_proxies):
            return self._of_proxy(headers, path)
        if needs_login(self.settings):
            return _ask(path)
        return Person(_user_of_this_machine(), "admin", "machine")

    def _proven(
        self, logins: tuple[Login, ...], name: str, secret: str, address: str, path: str
    ) -> Person | Response | None:
        """All are compared, each in the same time, so that an answer's time tells nothing about names or secrets. A
        right token is let in whatever others tried: nobody guesses one, and behind a proxy all have one address."""
        key = f"{address} {name[:100]}"
        by = "login" if name or logins is self.settings.console_logins else "token"
        found = [login for login in logins if _same(secret, login.secret) & (by == "token" or _same(name, login.name))]
        if self.wrong.wait(key) and not (found and by == "token"):
            return refusal(path, "Too many wrong tries; wait a minute.", 429, {"Retry-After": str(int(_WINDOW))})
        if not found:
            self.wrong.note(key)
            return None
        return Person(found[0].name, found[0].role, "login" if by == "login" else "token")

    def _of_proxy(self, headers: Headers, path: str) -> Person | Response:
        kinds = [kind for kind in _KINDS if any(each in headers for each in (*kind[0], kind[1]))]
        if len(kinds) > 1:  # a proxy sets one kind; the other came from whoever asks, who would choose their groups
            return refusal(
                path, "X-Forwarded-… and Remote-… both say who this is; the proxy must remove one kind.", 403
            )
        names, groups = kinds[0] if kinds else ((), "")
        name = next((value for each in names if (value := headers.get(each, "").strip())), "")
        if not name:
            return refusal(path, "The proxy did not say who this is (X-Forwarded-User or -Email).", 403)
        role = _role(self.settings.proxy_roles, {part.strip() for part in headers.get(groups, "").split(",")})
        if role is None:
            return refusal(path, "None of your groups has a role here (SEAMKEEPER_PROXY_ROLES).", 403)
        return Person(name[:200], role, "proxy")


class Wrong:
    """Wrong secrets of late, so that nobody can try many."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, key: str) -> None:
        """One more."""
        self._times.setdefault(key, deque(maxlen=_TRIES)).append(time.monotonic())
        self._times.move_to_end(key)
        while len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)

    def wait(self, key: str) -> bool:
        """True after too many within the window."""
        times = self._times.get(key)
        return times is not None and len(times) == _TRIES and time.monotonic() - times[0] < _WINDOW


def needs_login(settings: Settings) -> bool:
    """True when some way to sign in was set: then nobody comes in without."""
    return bool(settings.console_logins or settings.trusted_proxies)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _role(roles: Iterable[tuple[str, Role]], groups: set[str]) -> Role | None:
    """The first line that fits; without any line, everybody the proxy lets in may look."""
    lines = list(roles)
    return next((role for group, role in lines if group == "*" or group in groups), None if lines else "viewer")


def _is_within(address: str, networks: Iterable[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)


def _credentials(text: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password


def _same(given: str, held: str) -> bool:
    first, second = (hashlib.sha256(each.encode("utf-8", "replace")).digest() for each in (given, held))
    return hmac.compare_digest(first, second)


def _user_of_this_machine() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return "somebody"


def _ask(path: str) -> Response:
    kind = "Bearer" if path.startswith("/api/") else 'Basic realm="Seamkeeper", charset="UTF-8"'
    sentence = "A token is needed: Authorization: Bearer …" if kind == "Bearer" else "Sign in to see this."
    return refusal(path, sentence, 401, {"WWW-Authenticate": kind})
