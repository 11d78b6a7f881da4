"""What do the functions behind `/_simulator/…` take and give, where the world's own do not speak JSON?"""

from dataclasses import asdict, fields
from typing import Any, get_args

from .faults import FaultKind
from .outbox import Settings as DeliverySettings
from .params import loose_schedule
from .records import Json, Schedule
from .signing import Brand
from .world import World


class Controls:
    """The world, in JSON."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list_users(self) -> Json:
        """All users as Seam would answer them, in the order in which they came."""
        with self._world.lock:
            return {"users": [self._world.shape(user) for user in self._world.users.values()]}

    def add_user(self, acs_system_id: str | None = None, announce: bool = False, **values: Any) -> Json:
        """Someone who is already at the provider."""
        id = self._world.add_user(acs_system_id=acs_system_id, announce=announce, **self._record_fields(values))
        return {"acs_user_id": id}

    def edit_user(self, acs_user_id: str, issue_credential: bool = False, **values: Any) -> Json:
        """An edit at the provider; with `issue_credential`, the event of a key leads to it."""
        self._world.edit_at_provider(acs_user_id, **self._record_fields(values))
        return self.issue_credential(acs_user_id) if issue_credential else {}

    def delete_user(self, acs_user_id: str, externally: bool = False) -> None:
        """Gone with its event, or, `externally`, kept by Seam with an error and no event."""
        (self._world.delete_externally if externally else self._world.delete_at_provider)(acs_user_id)

    def issue_credential(self, acs_user_id: str) -> Json:
        return {"acs_credential_id": self._world.issue_credential(acs_user_id)}

    def emit(self, event_type: str, **values: Any) -> Json:
        return {"event": self._world.emit(event_type, **values)}

    def set_mutations(
        self,
        pending_seconds: float | None = None,
        is_holding: bool | None = None,
        failures: int | None = None,
        ignored_fields: list[str] | None = None,
        refused_numbers: list[str] | None = None,
    ) -> Json:
        settings = self._world.settings
        settings.pending_seconds = settings.pending_seconds if pending_seconds is None else pending_seconds
        settings.is_holding = settings.is_holding if is_holding is None else is_holding
        settings.failures = settings.failures if failures is None else failures
        settings.ignored_fields = settings.ignored_fields if ignored_fields is None else set(ignored_fields)
        settings.refused_numbers = settings.refused_numbers if refused_numbers is None else set(refused_numbers)
        shown = {name: sorted(value) if isinstance(value, set) else value for name, value in asdict(settings).items()}
        return {"settings": shown}

    def list_faults(self) -> Json:
        return {"faults": self._world.faults.to_json(), "is_outage": self._world.faults.is_outage}

    def add_fault(self, kind: FaultKind = "status", **values: Any) -> Json:
        return {"fault": asdict(self._world.faults.add(kind, **values))}

    def set_outage(self, on: bool) -> None:
        self._world.faults.is_outage = bool(on)

    def list_deliveries(self, id: str | None = None) -> Json:
        """The messages and the log of their attempts; `id` is an event_id or svix-id."""
        outbox = self._world.outbox
        messages = [m for m in outbox.messages() if id is None or id in (m.svix_id, m.event_id)]
        names = ("svix_id", "webhook_id", "event_id", "event_type", "state")
        return {
            "messages": [{name: getattr(message, name) for name in names} for message in messages],
            "attempts": [attempt.to_json() for attempt in outbox.attempts(id)],
            "settings": asdict(outbox.settings),
        }

    def set_deliveries(self, **values: Any) -> Json:
        """Change some of the settings; `outbox.Settings` says what they mean."""
        settings = self._world.outbox.settings
        unknown = set(values) - {each.name for each in fields(DeliverySettings)}
        if unknown:
            raise ValueError(f"unknown setting {', '.join(sorted(unknown))}")
        if values.get("brand", settings.brand) not in get_args(Brand):
            raise ValueError(f"brand is one of {', '.join(get_args(Brand))}")
        wanted = {name: type(getattr(settings, name))(value) for name, value in values.items()}
        if wanted.get("copies", 1) < 1 or wanted.get("concurrency", 1) < 1 or not 0 <= wanted.get("loss", 0) <= 1:
            raise ValueError("copies and concurrency are at least 1, loss is from 0 to 1")
        for name, value in wanted.items():
            setattr(settings, name, value)
        self._world.outbox.on_change()
        return {"settings": asdict(settings)}

    def resend(self, id: str) -> Json:
        """Send the messages with this event_id or svix-id once more."""
        return {"resent": self._world.outbox.resend(id)}

    def recover(self) -> Json:
        """Send everything that failed or was lost once more."""
        return {"resent": self._world.outbox.recover()}

    def rotate_secret(self, webhook_id: str) -> Json:
        return {"secret": self._world.rotate_secret(webhook_id)}

    def list_requests(self, path: str | None = None) -> Json:
        return {"requests": [seen.to_json() for seen in self._world.requests.list(path)]}

    def set_alive(self, on: bool) -> None:
        self._world.is_alive = bool(on)

    def set_speed(self, speed: float) -> None:
        self._world.retry_clock.speed = float(speed)
        self._world.outbox.on_change()

    def _record_fields(self, values: Json) -> Json:
        if values.get("access_schedule") is None:
            return values
        given = loose_schedule(values["access_schedule"])
        return {**values, "access_schedule": Schedule(given["starts_at"] or self._world.now(), given["ends_at"])}
