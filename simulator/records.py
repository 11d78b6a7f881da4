"""What does the world consist of? One record for each kind of thing that it keeps."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Json = dict[str, Any]
IssueKind = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a user has access; `ends_at` None is open-ended."""

    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Issue:
    """One error or warning on a user or an access system."""

    kind: IssueKind
    code: str
    message: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that Seam has accepted and the access system does not show yet.

    `before` and `after` hold record fields, such as `{"full_name": "Ada"}` or `{"access_schedule": None}`.
    `due` is in seconds of the monotonic clock.
    """

    code: str
    created_at: datetime
    due: float
    before: Json = field(default_factory=dict)
    after: Json = field(default_factory=dict)


@dataclass(slots=True)
class Identity:
    """The user identity of Seam's that an acs_user may belong to."""

    user_identity_id: str
    full_name: str | None = None
    email_address: str | None = None
    phone_number: str | None = None


@dataclass(slots=True)
class User:
    """An acs_user as the access system has it, with what Seam knows beside."""

    acs_user_id: str
    acs_system_id: str
    number: int
    created_at: datetime
    synced_at: datetime
    full_name: str | None = None
    email_address: str | None = None
    phone_number: str | None = None
    access_schedule: Schedule | None = None
    hid_acs_system_id: str | None = None
    is_suspended: bool = False
    is_subscribed: bool = True
    identity: Identity | None = None
    issues: list[Issue] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)

    def has(self, code: str) -> bool:
        """Is an error or warning with this code present?"""
        return any(issue.code == code for issue in self.issues)


@dataclass(slots=True)
class System:
    """An access system and the account through which Seam reaches it."""

    acs_system_id: str
    connected_account_id: str
    name: str
    created_at: datetime
    issues: list[Issue] = field(default_factory=list)

    @property
    def is_connected(self) -> bool:
        return not any(issue.code == "acs_system_disconnected" for issue in self.issues)


@dataclass(frozen=True, slots=True)
class Credential:
    """A mobile key that was issued to a user."""

    acs_credential_id: str
    acs_system_id: str
    acs_user_id: str
    created_at: datetime


@dataclass(slots=True)
class Webhook:
    """An endpoint that events are sent to. The newest secret stands first; older ones still sign."""

    webhook_id: str
    url: str
    event_types: list[str]
    secrets: list[str]
    is_disabled: bool = False

    @property
    def secret(self) -> str:
        return self.secrets[0]

    def wants(self, event_type: str) -> bool:
        return not self.is_disabled and ("*" in self.event_types or event_type in self.event_types)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that Seam made; `body` is what is delivered and listed."""

    created_at: datetime
    body: Json
