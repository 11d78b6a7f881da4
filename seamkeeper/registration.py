"""What is known of our webhook at Seam: its address and id, and how it was found when it was looked at last.

The workers write it (`seamkeeper register`, and each hour); console and command line show it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from urllib.parse import urlsplit

from sqlalchemy import Connection

from seamkeeper import checkpoints

# What a look may find -> the finding that is then open; `ok` and `unconfigured` (nobody told us an address) have none.
FINDING_OF = {
    "missing": "webhook_missing",
    "narrowed": "webhook_narrowed",
    "duplicated": "webhook_duplicated",
    "secret_unknown": "webhook_secret_unknown",
}
PATH = "/webhooks/seam"  # of the receiver

_NAME = "registration"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Registration:
    """Times are ISO 8601 in UTC. `state` is `ok`, `unconfigured` or a key of FINDING_OF, None before a look; the
    `sentence` says the same to people; `event_types` are those that were asked for, `not_offered` those
    that somebody here reacts to and Seam does not take: nobody need be told of them each hour."""

    url: str = ""
    webhook_id: str | None = None
    event_types: tuple[str, ...] = ()
    not_offered: tuple[str, ...] = ()
    registered_at: str | None = None
    checked_at: str | None = None
    state: str | None = None
    sentence: str = ""


def read(connection: Connection) -> Registration:
    """As it was written last; an empty one before."""
    kept = checkpoints.read(connection, _NAME) or {}
    known = {each.name: kept[each.name] for each in fields(Registration) if each.name in kept}
    lists = {name: tuple(known.get(name, ())) for name in ("event_types", "not_offered")}
    return Registration(**{**known, **lists})


def write(connection: Connection, value: Registration) -> None:
    """Over what stands there."""
    checkpoints.write(connection, _NAME, asdict(value))


def is_same_place(url: str, other: str) -> bool:
    """Whether two addresses lead to the same door: the case of scheme and host, the port that goes without saying and a
    slash at the end make no difference."""
    return _place(url) == _place(other)


def _place(url: str) -> tuple[str, str, int | None, str, str]:
    try:
        parts = urlsplit(url.strip())
        scheme = parts.scheme.lower()
        port = parts.port or _PORTS.get(scheme)
    except ValueError:  # somebody else's webhook may have any address
        return "", "", None, url, ""
    return scheme, (parts.hostname or "").rstrip("."), port, parts.path.rstrip("/"), parts.query
