"""Every setting, read once per process, all mistakes reported together.

`SETTINGS` is the table: README.md shows it, a test holds one against the other.
Each name also works as NAME_FILE, whose content is then the value (Docker and Kubernetes secrets).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from seamkeeper.errors import ConfigurationError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Repair = Literal["apply", "plan", "off"]
Recreate = Literal["never", "ask", "auto"]
Register = Literal["check", "repair", "off"]
Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")  # each may do what those before it may


@dataclass(frozen=True, slots=True)
class Login:
    """Who may use the console, or its API: a name, a role, and the password or token."""

    name: str
    role: Role
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What this process was told. Secrets are left out of the repr, so that no log can show them."""

    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    webhook_secret_file: Path | None = None  # where they came from, if it was a file: it may be replaced
    api_key: str = field(default="", repr=False)
    personal_access_token: str = field(default="", repr=False)
    workspace_id: str = ""
    endpoint: str = "https://connect.getseam.com"
    redis_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    redis_key_prefix: str = "rq"
    database_url: str = field(default="sqlite:///data/seamkeeper.db", repr=False)
    repair: Repair = "apply"
    recreate: Recreate = "never"
    recreate_budget: int = 10
    fight_repairs: int = 3
    fight_window: timedelta = timedelta(hours=24)
    reactions: tuple[str, ...] = ()
    notify: tuple[str, ...] = field(default=(), repr=False)
    console_url: str = ""
    console_logins: tuple[Login, ...] = field(default=(), repr=False)
    api_tokens: tuple[Login, ...] = field(default=(), repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    proxy_roles: tuple[tuple[str, Role], ...] = ()
    max_body_bytes: int = 262_144
    redis_wait: timedelta = timedelta(seconds=2)
    dedupe: timedelta = timedelta(hours=72)
    seam_timeout: timedelta = timedelta(seconds=10)
    seam_rate: int = 100
    seam_burst: int = 200
    backfill_every: timedelta = timedelta(minutes=10)
    backfill_overlap: timedelta = timedelta(minutes=5)
    resync_every: timedelta = timedelta(minutes=15)
    nightly_hour: int = 3
    register: Register = "check"
    webhook_url: str = ""
    silence: timedelta = timedelta(minutes=30)
    keep_events: timedelta = timedelta(days=30)
    keep_history: timedelta = timedelta(days=365)
    circuit_failures: int = 5
    circuit_cool_off: timedelta = timedelta(seconds=30)
    job_timeout: timedelta = timedelta(seconds=60)
    retry_delays: tuple[int, ...] = (5, 15, 60, 300, 900, 3600)
    reread_delays: tuple[int, ...] = (5, 15, 60, 300, 1800)
    maintenance: timedelta = timedelta(seconds=10)
    worker_memory_mib: int = 512
    worker_lifetime: timedelta = timedelta(hours=24)
    log_format: Literal["auto", "json", "console"] = "auto"
    data_dir: Path = Path("data")

    @property
    def can_call_seam(self) -> bool:
        """True when a credential for Seam's API was given."""
        return bool(self.api_key or self.personal_access_token)


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table: the variable, the field it fills, how it is read, and what it is for."""

    name: str
    attribute: str
    read: Callable[[str], Any]
    meaning: str
    is_secret: bool = False


def _text(value: str) -> str:
    return value


def _names(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _count(value: str) -> int:
    number = int(value) if value.isdecimal() else 0
    if number < 1:
        raise ValueError("must be a whole number of 1 or more")
    return number


def _hour(value: str) -> int:
    if not value.isdecimal() or int(value) > 23:
        raise ValueError("must be an hour of the day, 0 to 23, in UTC")
    return int(value)


def _duration(unit: str, *, least: timedelta = timedelta(0)) -> Callable[[str], timedelta]:
    def read(value: str) -> timedelta:
        try:
            number = float(value)
            if not 0 < number < 1e6:
                raise ValueError
        except ValueError:
            raise ValueError(f"must be a number of {unit} above 0") from None
        duration = timedelta(**{unit: number})
        if duration < least:
            raise ValueError(f"must be {least.total_seconds():g} s or more")
        return duration

    return read


def _delays(value: str) -> tuple[int, ...]:
    parts = _names(value)
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError("must be seconds separated by commas, such as 5,15,60,300")
    return tuple(int(part) for part in parts)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return read


def _url(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        scheme, colon, rest = value.partition("://")
        if not colon or scheme.lower() not in schemes or not rest.strip("/"):
            raise ValueError(f"must be an address that begins with {' or '.join(f'{each}://' for each in schemes)}")
        if scheme.lower() not in ("unix", "sqlite") and not _has_good_port(rest):
            raise ValueError("must have a port of 1 to 65535 behind the colon, or none")
        return value

    return read


def _has_good_port(rest: str) -> bool:
    """Of what follows `scheme://`: credentials may hold colons, addresses of version 6 stand in brackets."""
    place = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    port = place.rpartition("]")[2].partition(":")
    return not port[1] or (port[2].isdecimal() and 0 < int(port[2][:6]) < 65536)


def _database_url(value: str) -> str:
    """The forms people paste, as SQLAlchemy with psycopg 3 wants them."""
    url = _url("sqlite", "postgres", "postgresql", "postgresql+psycopg")(value)
    scheme, _, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if scheme.startswith("postgres") else url


def webhook_secret(value: str) -> str:
    """One Svix secret, checked strictly: the library accepts `whsec_abc`, and then every request fails."""
    if not value.startswith("whsec_"):
        raise ValueError("each secret must begin with whsec_ (copy it from Seam Console, Developer, Webhooks)")
    try:
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("what follows whsec_ must be base64; was the secret cut when it was copied?") from None
    if len(key) < 24:
        raise ValueError(f"the key after whsec_ has {len(key)} bytes, Svix uses 24 or more; was it cut?")
    return value


def webhook_secrets(value: str) -> tuple[str, ...]:
    """One or several, separated by commas; the newest first."""
    secrets = tuple(webhook_secret(name) for name in _names(value))
    if not secrets:
        raise ValueError("holds no secret")
    return secrets


def _notify_urls(value: str) -> tuple[str, ...]:
    """As apprise separates them: an address may hold commas of its own."""
    urls = tuple(re.split(r"[\s,]+(?=[A-Za-z0-9+.-]{1,30}://)", value.strip(" ,")))
    for number, url in enumerate(urls, 1):
        if not re.fullmatch(r"[A-Za-z0-9+.-]{1,30}://\S+", url):  # not repeated in the sentence: it holds passwords
            raise ValueError(
                f"must hold addresses of apprise, such as mailto://… or slack://…; number {number} is none"
            )
    return urls


def _console_url(value: str) -> str:
    return _url("https", "http")(value).rstrip("/")


def _logins(*, least: int) -> Callable[[str], tuple[Login, ...]]:
    def read(value: str) -> tuple[Login, ...]:
        logins = tuple(_login(entry, number, least) for number, entry in enumerate(value.split(), 1))
        if len({login.name for login in logins}) < len(logins):
            raise ValueError("names somebody twice: each name needs one entry")
        return logins

    return read


def _login(entry: str, number: int, least: int) -> Login:
    """The sentences do not repeat the entry: it holds a secret."""
    name, _, rest = entry.partition(":")
    word, colon, secret = rest.partition(":")
    role = next((role for role in ROLES if role == word), None)
    if not (name and colon and role):
        raise ValueError(f"must hold name:role:secret, separated by spaces, role one of {', '.join(ROLES)}; "
                         f"number {number} does not")  # fmt: skip
    if len(secret) < least or not entry.isascii():
        raise ValueError(f"needs secrets of {least} or more ASCII characters; that of number {number} is none")
    return Login(name, role, secret)


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _names(value))
    except ValueError:
        raise ValueError("must hold addresses or networks such as 10.0.0.7 or 10.0.0.0/24") from None


def _proxy_roles(value: str) -> tuple[tuple[str, Role], ...]:
    found: list[tuple[str, Role]] = []
    for part in _names(value):
        group, _, word = part.rpartition("=")
        role = next((role for role in ROLES if role == word), None)
        if not (group and role):
            raise ValueError(f"must hold group=role, separated by commas, role one of {', '.join(ROLES)}")
        found.append((group, role))
    return tuple(found)


def _key_prefix(value: str) -> str:
    if not all(character.isalnum() or character in "_.:{}-" for character in value) or not value.isascii():
        raise ValueError("may hold letters, digits and _ . : - { } only")
    return value


_SECOND = timedelta(seconds=1)  # Redis and RQ count these in whole seconds

SETTINGS: tuple[Setting, ...] = (
    Setting("SEAM_WEBHOOK_SECRET", "webhook_secrets", webhook_secrets,
            "Signing secret of the webhook; several separated by commas while one is replaced, any may match", True),
    Setting("SEAM_API_KEY", "api_key", _text, "Key for Seam's API", True),
    Setting("SEAM_PERSONAL_ACCESS_TOKEN", "personal_access_token", _text,
            "Instead of the key, together with SEAM_WORKSPACE_ID", True),
    Setting("SEAM_WORKSPACE_ID", "workspace_id", _text, "Workspace of the personal access token"),
    Setting("SEAM_ENDPOINT", "endpoint", _url("https", "http"), "Address of Seam's API"),
    Setting("REDIS_URL", "redis_url", _url("redis", "rediss", "unix"), "Redis 7.0 or newer, or Valkey", True),
    Setting("RQ_KEY_PREFIX", "redis_key_prefix", _key_prefix, "RQ's own prefix of every key in Redis; ours follow it"),
    Setting("DATABASE_URL", "database_url", _database_url, "SQLite file or PostgreSQL", True),
    Setting("SEAMKEEPER_REPAIR", "repair", _one_of("apply", "plan", "off"),
            "`apply` puts drift right, `plan` shows what it would do, `off` does not compare"),
    Setting("SEAMKEEPER_FIGHT_REPAIRS", "fight_repairs", _count,
            "So often the same value of a user is put back within the window; then a person decides"),
    Setting("SEAMKEEPER_FIGHT_HOURS", "fight_window", _duration("hours"), "That window"),
    Setting("SEAMKEEPER_RECREATE", "recreate", _one_of("never", "ask", "auto"),
            "Whether a new user is made for one who is gone and still desired: `never`, `ask` a person first, `auto`"),
    Setting("SEAMKEEPER_RECREATE_BUDGET", "recreate_budget", _count, "At most so many new users in a day"),
    Setting("SEAMKEEPER_REACTIONS", "reactions", _names, "Modules with reactions of your own, separated by commas"),
    Setting("SEAMKEEPER_NOTIFY", "notify", _notify_urls,
            "Who is told of issues, dead jobs and circuits: addresses of apprise, separated by spaces or commas", True),
    Setting("SEAMKEEPER_CONSOLE_URL", "console_url", _console_url, "Where people reach the console, for links"),
    Setting("SEAMKEEPER_CONSOLE_LOGINS", "console_logins", _logins(least=12),
            "Who may use the console: `name:role:password`, separated by spaces; roles viewer, operator, admin", True),
    Setting("SEAMKEEPER_API_TOKENS", "api_tokens", _logins(least=24),
            "Programs that may use the JSON API and read /metrics: `name:role:token`, separated by spaces", True),
    Setting("SEAMKEEPER_TRUSTED_PROXIES", "trusted_proxies", _networks,
            "Addresses of proxies that sign people in; their X-Forwarded-User, -Email, -Groups are believed"),
    Setting("SEAMKEEPER_PROXY_ROLES", "proxy_roles", _proxy_roles,
            "Which of the proxy's groups has which role: `staff=viewer,oncall=operator`; `*` is everybody"),
    Setting("SEAMKEEPER_MAX_BODY_BYTES", "max_body_bytes", _count, "Largest webhook body that is read; above: 413"),
    Setting("SEAMKEEPER_REDIS_WAIT_SECONDS", "redis_wait", _duration("seconds"),
            "How long a webhook waits for Redis before it is answered 503"),
    Setting("SEAMKEEPER_DEDUPE_HOURS", "dedupe", _duration("hours", least=_SECOND),
            "How long an event_id is remembered; Svix retries for up to 33 hours"),
    Setting("SEAMKEEPER_SEAM_TIMEOUT_SECONDS", "seam_timeout", _duration("seconds"), "Time-out of one call to Seam"),
    Setting("SEAMKEEPER_SEAM_RATE", "seam_rate", _count, "Calls to Seam per second, all workers together"),
    Setting("SEAMKEEPER_SEAM_BURST", "seam_burst", _count,
            "Calls to Seam that may follow each other at once after a rest; resyncs leave half of them to events"),
    Setting("SEAMKEEPER_BACKFILL_MINUTES", "backfill_every", _duration("minutes", least=_SECOND),
            "How often Seam is asked for events that no delivery brought"),
    Setting("SEAMKEEPER_BACKFILL_OVERLAP_MINUTES", "backfill_overlap", _duration("minutes", least=_SECOND),
            "How far each of these looks goes back over the last one: events are stamped before they can be listed"),
    Setting("SEAMKEEPER_RESYNC_MINUTES", "resync_every", _duration("minutes", least=_SECOND),
            "How often the users of an access system are compared with Seam's list; ±10 %"),
    Setting("SEAMKEEPER_NIGHTLY_HOUR", "nightly_hour", _hour,
            "Hour (UTC) from which, once a day, every user of whom something is desired is read again"),
    Setting("SEAMKEEPER_WEBHOOK_URL", "webhook_url", _url("https", "http"),
            "Where Seam reaches the receiver: https://hooks.example.com/webhooks/seam; `register` remembers it"),
    Setting("SEAMKEEPER_REGISTER", "register", _one_of("check", "repair", "off"),
            "Each hour our webhook at Seam is looked at: `check` tells, `repair` puts it right, `off` does not look"),
    Setting("SEAMKEEPER_SILENCE_MINUTES", "silence", _duration("minutes", least=_SECOND),
            "So long may Seam have events that no delivery brings until people are told"),
    Setting("SEAMKEEPER_KEEP_EVENTS_DAYS", "keep_events", _duration("days"),
            "How long settled events and their tries are kept"),
    Setting("SEAMKEEPER_KEEP_HISTORY_DAYS", "keep_history", _duration("days"),
            "How long changes, writes at Seam and issues that are over are kept"),
    Setting("SEAMKEEPER_CIRCUIT_FAILURES", "circuit_failures", _count,
            "Failed calls in a row after which an access system is let rest, its users parked"),
    Setting("SEAMKEEPER_CIRCUIT_COOL_OFF_SECONDS", "circuit_cool_off", _duration("seconds"),
            "How long it is let rest before one call is tried; doubles up to 10 minutes while that fails"),
    Setting("SEAMKEEPER_JOB_TIMEOUT_SECONDS", "job_timeout", _duration("seconds", least=_SECOND),
            "Longest run of one job"),
    Setting("SEAMKEEPER_RETRY_DELAYS", "retry_delays", _delays,
            "Seconds before each new try of a job that failed for now; ±20 % jitter; after the last one it is dead"),
    Setting("SEAMKEEPER_REREAD_DELAYS", "reread_delays", _delays,
            "Seconds after which a user is read again while a change is under way at Seam"),
    Setting("SEAMKEEPER_MAINTENANCE_SECONDS", "maintenance", _duration("seconds", least=_SECOND),
            "How often jobs of dead workers are looked for (RQ's own default is 600)"),
    Setting("SEAMKEEPER_WORKER_MEMORY_MIB", "worker_memory_mib", _count,
            "A worker process that takes more memory is replaced when its jobs have ended; at twice that, at once"),
    Setting("SEAMKEEPER_WORKER_LIFETIME_HOURS", "worker_lifetime", _duration("hours"),
            "A worker process that is older ends its jobs and is replaced"),
    Setting("SEAMKEEPER_LOG_FORMAT", "log_format", _one_of("auto", "json", "console"),
            "`auto` is `console` in a terminal and `json` elsewhere"),
    Setting("SEAMKEEPER_DATA_DIR", "data_dir", Path, "Folder of what `seamkeeper dev` keeps"),
)  # fmt: skip


def load(environ: Mapping[str, str] | None = None, *, need: tuple[str, ...] = ()) -> Settings:
    """Settings from the environment; `need` names variables that this process cannot work without.

    Raises `ConfigurationError` with every mistake at once, each naming the variable and the remedy.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for setting in SETTINGS:
        try:
            text = _find(environ, setting.name)
            if text:
                values[setting.attribute] = setting.read(text)
            elif setting.name in need:
                mistakes.append(f"{setting.name} is not set. It is: {setting.meaning}.")
        except ValueError as error:
            mistakes.append(f"{setting.name} {error}.")
    mistakes += _disagreements(values)
    if mistakes:
        raise ConfigurationError(mistakes)
    file = environ.get("SEAM_WEBHOOK_SECRET_FILE", "").strip()
    return Settings(**values, webhook_secret_file=Path(file) if file else None)


def need_seam(settings: Settings) -> None:
    """Raises `ConfigurationError` when there is no credential to call Seam's API with."""
    if not settings.can_call_seam:
        raise ConfigurationError(["SEAM_API_KEY is not set (nor SEAM_PERSONAL_ACCESS_TOKEN with SEAM_WORKSPACE_ID)."])


def _find(environ: Mapping[str, str], name: str) -> str:
    path = environ.get(f"{name}_FILE", "").strip()
    if not path:
        return environ.get(name, "").strip()
    if environ.get(name, "").strip():
        raise ValueError(f"and {name}_FILE are both set: remove one of the two")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"could not be read from {name}_FILE={path}: {error}") from None


def _disagreements(values: Mapping[str, Any]) -> list[str]:
    if values.get("api_key") and values.get("personal_access_token"):
        return ["SEAM_API_KEY and SEAM_PERSONAL_ACCESS_TOKEN are both set: Seam's SDK takes one of the two."]
    if values.get("personal_access_token") and not values.get("workspace_id"):
        return ["SEAM_PERSONAL_ACCESS_TOKEN needs SEAM_WORKSPACE_ID."]
    return []
