"""What can be done at the access system itself, behind Seam's back?"""

from typing import Any

from . import events
from .mutations import Mutations
from .records import Credential, IssueKind, Json, User

MESSAGES = {
    "deleted_externally": "The user was deleted from the access system outside of Seam",
    "salto_ks_subscription_limit_exceeded": "The subscription limit of the Salto KS site has been exceeded",
    "failed_to_create_on_acs_system": "The user could not be created on the access system",
    "failed_to_update_on_acs_system": "The user could not be updated on the access system",
    "failed_to_delete_on_acs_system": "The user could not be deleted from the access system",
    "latch_conflict_with_resident_user": "The user also exists on Mission Control, which is not supported",
    "being_deleted": "The user is being deleted from the access system",
    "salto_ks_user_not_subscribed": "The user is not subscribed on Salto KS",
    "acs_user_inactive": "The user is not active on the access system",
    "unknown_issue_with_acs_user": "An unknown issue occurred while syncing the user",
    "latch_resident_user": "The user is managed in Latch Mission Control",
}
EDITABLE = ("full_name", "email_address", "phone_number", "access_schedule", "is_suspended", "hid_acs_system_id")


class World(Mutations):
    """A whole Seam in memory: the access systems, and what people do at them.

    Everything may be called from any thread while an app serves this world. `create_app(world)` gives it an API.
    """

    def edit_at_provider(self, acs_user_id: str, **values: Any) -> None:
        """Change values at the access system. Seam shows them and sends no event (Seam, events reference).

        Raises ValueError for a field that cannot be edited, Refusal when there is no such user.
        """
        unknown = set(values) - set(EDITABLE)
        if unknown:
            raise ValueError(f"cannot edit {', '.join(sorted(unknown))}; there are {', '.join(EDITABLE)}")
        with self.lock:
            user = self.find_user(acs_user_id)
            for name, value in values.items():
                setattr(user, name, value)
            user.synced_at = self.now()

    def raise_error(self, acs_user_id: str, code: str, message: str | None = None) -> None:
        """Put an error on a user; no event is sent."""
        self._raise(acs_user_id, "error", code, message)

    def raise_warning(self, acs_user_id: str, code: str, message: str | None = None) -> None:
        """Put a warning on a user; no event is sent."""
        self._raise(acs_user_id, "warning", code, message)

    def clear_issue(self, acs_user_id: str, code: str | None = None) -> None:
        """Take an error or warning off a user, or all of them; no event is sent."""
        with self.lock:
            user = self.find_user(acs_user_id)
            user.issues = [issue for issue in user.issues if code is not None and issue.code != code]
            user.is_subscribed = not user.has("salto_ks_user_not_subscribed")

    def delete_externally(self, acs_user_id: str) -> None:
        """Delete a user at the access system: Seam keeps it with the error `deleted_externally`, and sends no event."""
        self.raise_error(acs_user_id, "deleted_externally")

    def delete_at_provider(self, acs_user_id: str) -> None:
        """Take a user away altogether, with the event `acs_user.deleted`."""
        with self.lock:
            self.gone(self.find_user(acs_user_id))

    def disconnect(self, acs_system_id: str | None = None) -> None:
        """Cut an access system off: `acs_system.disconnected`; its mutations stay pending until it is back."""
        with self.lock:
            system = self.find_system(acs_system_id or self.acs_system_id)
            self.note(system, "error", "acs_system_disconnected", "The access system has been disconnected")
            self.emit("acs_system.disconnected", **events.of_disconnection(system))

    def connect(self, acs_system_id: str | None = None) -> None:
        """Bring an access system back: `acs_system.connected`."""
        with self.lock:
            system = self.find_system(acs_system_id or self.acs_system_id)
            system.issues = [issue for issue in system.issues if issue.code != "acs_system_disconnected"]
            self.emit("acs_system.connected", **events.of_system(system))

    def issue_credential(self, acs_user_id: str) -> str:
        """Give a user a mobile key; returns its id. `acs_credential.issued` does not say whose it is."""
        with self.lock:
            user = self.find_user(acs_user_id)
            credential = Credential(self.new_id(), user.acs_system_id, acs_user_id, self.now())
            self.credentials[credential.acs_credential_id] = credential
            self._emit_credential("issued", credential)
            return credential.acs_credential_id

    def delete_credential(self, acs_credential_id: str) -> None:
        """Take a key away: `acs_credential.deleted`, after which Seam can no longer say whose it was."""
        with self.lock:
            self._emit_credential("deleted", self.credentials.pop(acs_credential_id))

    def summary(self) -> Json:
        """Counts and switches, for people."""
        with self.lock:
            return {
                "workspace_id": self.workspace_id,
                "acs_system_ids": list(self.systems),
                "users": len(self.users),
                "users_with_issues": sum(bool(user.issues) for user in self.users.values()),
                "pending_mutations": sum(len(user.pending) for user in self.users.values()),
                "events": len(self.events),
                "webhooks": len(self.webhooks),
                "deliveries_waiting": self.outbox.waiting(),
                "faults": self.faults.to_json(),
                "is_outage": self.faults.is_outage,
                "is_alive": self.is_alive,
                "speed": self.retry_clock.speed,
            }

    def _raise(self, acs_user_id: str, kind: IssueKind, code: str, message: str | None) -> None:
        with self.lock:
            user: User = self.find_user(acs_user_id)
            self.note(user, kind, code, message or MESSAGES.get(code, code.replace("_", " ")))
            user.is_subscribed = not user.has("salto_ks_user_not_subscribed")

    def _emit_credential(self, what: str, credential: Credential) -> None:
        fields = events.of_credential(credential.acs_credential_id, self.system_of(credential))
        self.emit(f"acs_credential.{what}", **fields)
