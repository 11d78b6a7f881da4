"""What does the simulated Seam know? Its things, its identifiers, its clock, its events."""

import base64
import random
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from . import events, shapes
from .clock import RetryClock, utc_now
from .faults import Faults
from .outbox import Outbox
from .people import someone
from .records import Credential, Event, Identity, Issue, IssueKind, Json, System, User, Webhook
from .refusals import not_found
from .requests_log import RequestLog
from .signing import check_secret

API_KEY = "seam_test_simulator_key"
PERSONAL_ACCESS_TOKEN = "seam_at_simulator_token"  # noqa: S105 - opens nothing but a simulator
SYSTEM_NAME = "Harbour House"
EVENTS_KEPT = 50_000


@dataclass(slots=True)
class Settings:
    """How the world behaves.

    pending_seconds   a change that Seam accepted shows at the access system after this
    is_holding        changes stay pending until `drain` is called
    failures          so many of the next changes fail at the access system
    ignored_fields    the access system accepts changes of these fields and does not keep them
    refused_numbers   telephone numbers that Seam answers 400 to, though their form is right
    unknown_types     event types that no webhook may be given (Seam's fake: 400 for the whole request)
    has_secrets       whether webhooks that are read show their secret, as Seam's schema leaves open; created ones do
    event_order       of /events/list, which Seam does not document: `oldest`, `newest` or `shuffled`
    """

    pending_seconds: float = 0.2
    is_holding: bool = False
    failures: int = 0
    ignored_fields: set[str] = field(default_factory=set)
    refused_numbers: set[str] = field(default_factory=set)
    unknown_types: set[str] = field(default_factory=set)
    has_secrets: bool = True
    event_order: Literal["oldest", "newest", "shuffled"] = "oldest"


class State:
    """Everything the world keeps, behind one lock. `World` adds what can be done with it."""

    def __init__(
        self,
        *,
        seed: int = 0,
        users: int = 0,
        api_key: str = API_KEY,
        speed: float = 1.0,
        now: Callable[[], datetime] = utc_now,
        kept: int = EVENTS_KEPT,
    ) -> None:
        """A world with one access system and `users` people; the same seed gives the same ids and people. `kept`: so
        many events, and lines of their deliveries, are remembered."""
        self.lock = threading.RLock()
        self.now = now
        self.seed = seed
        self.api_key = api_key
        self.personal_access_token = PERSONAL_ACCESS_TOKEN
        self.settings = Settings()
        self.faults = Faults()
        self.requests = RequestLog()
        self.retry_clock = RetryClock(speed)
        self.outbox = Outbox(clock=self.retry_clock, rng=random.Random(f"{seed}/outbox"), keep=kept)
        self.is_alive = False
        self.on_happening: Callable[[str], None] = lambda line: None
        self.users: dict[str, User] = {}
        self.systems: dict[str, System] = {}
        self.credentials: dict[str, Credential] = {}
        self.webhooks: dict[str, Webhook] = {}
        self.events: deque[Event] = deque(maxlen=kept)
        self._ids = random.Random(f"{seed}/ids")
        self._request_ids = random.Random(f"{seed}/requests")
        self._people = random.Random(f"{seed}/people")
        self._users_made = 0
        self._unsettled: dict[str, User] = {}
        self.workspace_id = self.new_id()
        self.acs_system_id = self.add_system(SYSTEM_NAME)
        for _ in range(users):
            self.add_user()

    def new_id(self) -> str:
        """A UUID4 out of the seed."""
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))

    def new_request_id(self) -> str:
        """A UUID4 for `seam-request-id`, out of its own row, so that requests do not shift the ids of things."""
        with self.lock:
            return str(uuid.UUID(int=self._request_ids.getrandbits(128), version=4))

    def add_system(self, name: str) -> str:
        """A connected access system; returns its acs_system_id. No event is sent."""
        with self.lock:
            system = System(self.new_id(), self.new_id(), name, self.now())
            self.systems[system.acs_system_id] = system
            return system.acs_system_id

    def add_user(self, *, acs_system_id: str | None = None, announce: bool = False, **values: Any) -> str:
        """Someone who is already in the access system; returns the acs_user_id.

        `values` are record fields such as full_name, email_address, phone_number, access_schedule; what is not given
        is made up, and None leaves it away. With `announce`, `acs_user.created` is sent.
        """
        with self.lock:
            person = someone(self._people)
            made_up = {
                "full_name": person.full_name,
                "email_address": person.email_address,
                "phone_number": person.phone_number,
            }
            user = self._new_user(acs_system_id or self.acs_system_id, {**made_up, **values})
            if announce:
                self.emit("acs_user.created", **events.of_user(user, self.system_of(user)))
            return user.acs_user_id

    def shape(self, user: User) -> Json:
        """The acs_user resource of a record."""
        return shapes.acs_user(user, self.system_of(user), workspace_id=self.workspace_id)

    def system_of(self, thing: User | Credential) -> System:
        """The access system that a user or credential belongs to."""
        return self.systems[thing.acs_system_id]

    def emit(self, event_type: str, **fields: Any) -> Json:
        """Make an event of any type, known to Seam or not: it is listed and delivered to the webhooks that want it."""
        with self.lock:
            at = self.now()
            at = at.replace(microsecond=at.microsecond // 1000 * 1000)  # what is listed is compared as it is written
            event = events.make_event(event_type, fields, event_id=self.new_id(), workspace_id=self.workspace_id, at=at)
            self.events.append(Event(at, event))
            self._post(event)
            return event

    def add_webhook(self, url: str, event_types: list[str] | None = None, secret: str | None = None) -> Webhook:
        """Register an endpoint; without a secret a new one is made. Only later events are delivered to it.

        Raises ValueError for a secret that is not `whsec_` and base64.
        """
        if secret is not None:
            check_secret(secret)
        with self.lock:
            webhook = Webhook(self.new_id(), url, list(event_types or ["*"]), [secret or self._new_secret()])
            self.webhooks[webhook.webhook_id] = webhook
            self.outbox.on_change()
            return webhook

    def remove_webhook(self, webhook_id: str) -> None:
        """Remove an endpoint and what was still to be delivered to it."""
        with self.lock:
            del self.webhooks[webhook_id]
            self.outbox.forget(webhook_id)

    def disable_webhook(self, webhook_id: str) -> None:
        """Disable an endpoint, as Svix does after five days of failures."""
        with self.lock:
            self.webhooks[webhook_id].is_disabled = True
            self.outbox.forget(webhook_id)

    def rotate_secret(self, webhook_id: str) -> str:
        """A new secret for a webhook, as from the Svix portal; the old one goes on signing beside it."""
        with self.lock:
            webhook = self.webhooks[webhook_id]
            webhook.secrets = [self._new_secret(), webhook.secrets[0]]
            return webhook.secret

    def find_user(self, acs_user_id: str) -> User:
        """The record of a user. Raises Refusal (404) when there is none."""
        user = self.users.get(acs_user_id)
        if user is None:
            raise not_found("acs_user", acs_user_id)
        return user

    def find_system(self, acs_system_id: str) -> System:
        """The record of an access system. Raises Refusal (404) when there is none."""
        system = self.systems.get(acs_system_id)
        if system is None:
            raise not_found("acs_system", acs_system_id)
        return system

    def find_identity(self, user_identity_id: str) -> Identity:
        """The identity with this id; one that nobody has yet is made, for identities are not simulated further."""
        known = (user.identity for user in self.users.values() if user.identity is not None)
        found = (identity for identity in known if identity.user_identity_id == user_identity_id)
        return next(found, Identity(user_identity_id))

    def note(self, thing: User | System, kind: IssueKind, code: str, message: str) -> None:
        """Put an error or warning on a user or system; one that is there already stays as it is."""
        if not any(issue.code == code for issue in thing.issues):
            thing.issues.append(Issue(kind, code, message, self.now()))

    def _new_user(self, acs_system_id: str, values: Json) -> User:
        self.find_system(acs_system_id)
        now = self.now()
        self._users_made += 1
        user = User(self.new_id(), acs_system_id, self._users_made, now, now, **values)
        self.users[user.acs_user_id] = user
        return user

    def new_identity(self, **values: Any) -> Identity:
        """A user identity to give to `add_user(identity=…)`."""
        return Identity(self.new_id(), **values)

    def _new_secret(self) -> str:
        return "whsec_" + base64.b64encode(self._ids.randbytes(24)).decode()

    def _post(self, event: Json) -> None:
        wanting = [each for each in self.webhooks.values() if each.wants(event["event_type"])]
        for webhook in wanting:
            self.outbox.put(
                webhook.webhook_id,
                event_id=event["event_id"],
                event_type=event["event_type"],
                body=events.to_bytes(event),
            )
