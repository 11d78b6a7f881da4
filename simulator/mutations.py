"""What happens to a change that Seam accepted? It is pending, then the access system takes or refuses it."""

import time
from typing import Any

from . import events
from .records import Json, Pending, User
from .refusals import invalid
from .state import State

INFORMATION = ("full_name", "email_address", "phone_number")
FAILURES = {
    "creating": ("failed_to_create_on_acs_system", "The user could not be created on the access system"),
    "deleting": ("failed_to_delete_on_acs_system", "The user could not be deleted from the access system"),
}
FAILED_TO_UPDATE = ("failed_to_update_on_acs_system", "The user could not be updated on the access system")


class Mutations(State):
    """The writing half of Seam's API. Each method answers at once; `settle` carries out what is due."""

    def user(self, acs_user_id: str) -> Json | None:
        """The user as Seam's API would answer it now; None when there is no such user."""
        with self.lock:
            self.settle()
            record = self.users.get(acs_user_id)
            return None if record is None else self.shape(record)

    def create_user(self, acs_system_id: str, **values: Any) -> User:
        """A user that is there at once with the mutation `creating`; `acs_user.created` is sent when it is through."""
        with self.lock:
            user = self._new_user(acs_system_id, values)
            self._add_pending(user, "creating")
            return user

    def update_user(self, user: User, changes: Json) -> None:
        """Accept new values; those that differ become pending mutations.

        `hid_acs_system_id` has no mutation code (Seam, acs_user object) and is taken over at once.
        """
        number = changes.get("phone_number")
        if number in self.settings.refused_numbers:
            raise invalid({"phone_number": ["is not a number that can be called"]}, "Invalid parameters")
        with self.lock:
            changed = {name: value for name, value in changes.items() if _on_its_way(user, name) != value}
            if "hid_acs_system_id" in changed:
                user.hid_acs_system_id = changed.pop("hid_acs_system_id")
            information = {name: value for name, value in changed.items() if name in INFORMATION}
            if information:
                self._add_pending(user, "updating_user_information", information)
            if "access_schedule" in changed:
                self._add_pending(user, "updating_access_schedule", {"access_schedule": changed["access_schedule"]})

    def suspend_user(self, user: User, is_suspended: bool) -> None:
        """Accept a suspension, or the end of one."""
        with self.lock:
            if _on_its_way(user, "is_suspended") != is_suspended:
                self._add_pending(user, "updating_suspension_state", {"is_suspended": is_suspended})

    def delete_user(self, user: User) -> None:
        """Accept a deletion: `being_deleted` and `deleting` until it is through, then `acs_user.deleted` is sent."""
        with self.lock:
            if not user.has("being_deleted"):
                self.note(user, "warning", "being_deleted", "The user is being deleted from the access system")
                self._add_pending(user, "deleting")

    def settle(self) -> None:
        """Carry out the pending mutations whose time has come. Asked before every answer and by a timer."""
        with self.lock:
            if not self.settings.is_holding:
                self._carry_out(time.monotonic())

    def drain(self) -> None:
        """Carry out all pending mutations now, whatever the delay."""
        with self.lock:
            self._carry_out(float("inf"))

    def gone(self, user: User) -> None:
        """Take a user out of the world, with `acs_user.deleted`."""
        with self.lock:
            del self.users[user.acs_user_id]
            self.emit("acs_user.deleted", **events.of_user(user, self.system_of(user)))

    def _add_pending(self, user: User, code: str, after: Json | None = None) -> None:
        before = {name: getattr(user, name) for name in after or {}}
        due = time.monotonic() + self.settings.pending_seconds
        user.pending.append(Pending(code, self.now(), due, before, after or {}))
        self._unsettled[user.acs_user_id] = user

    def _carry_out(self, until: float) -> None:
        due = [(p.due, u.number, u, p) for u in self._unsettled.values() for p in u.pending if p.due <= until]
        for _, _, user, pending in sorted(due, key=lambda each: each[:2]):
            if user.acs_user_id in self.users and self.system_of(user).is_connected:
                user.pending.remove(pending)
                self._finish(user, pending)
        self._unsettled = {id: user for id, user in self._unsettled.items() if user.pending and id in self.users}

    def _finish(self, user: User, pending: Pending) -> None:
        reason = self._refusal(user, pending)
        code, message = FAILURES.get(pending.code, FAILED_TO_UPDATE)
        if reason is not None:
            self.note(user, "error", code, f"{message}: {reason}")
            if pending.code == "deleting":
                user.issues = [issue for issue in user.issues if issue.code != "being_deleted"]
            return
        user.issues = [issue for issue in user.issues if issue.code != code]
        user.synced_at = self.now()
        if pending.code == "deleting":
            self.gone(user)
            return
        for name, value in pending.after.items():
            if name not in self.settings.ignored_fields:
                setattr(user, name, value)
        if pending.code == "creating":
            self.emit("acs_user.created", **events.of_user(user, self.system_of(user)))

    def _refusal(self, user: User, pending: Pending) -> str | None:
        """Why the access system refuses this change; None when it takes it."""
        if self.settings.failures > 0:
            self.settings.failures -= 1
            return "internal error"
        if user.has("deleted_externally") and pending.code != "deleting":
            return "the user no longer exists there"
        email = pending.after.get("email_address") if pending.after else user.email_address
        if pending.code != "deleting" and email and self._is_taken(email, user):
            return "the email address is already in use"  # Seam, "Troubleshooting access system users"
        return None

    def _is_taken(self, email: str, user: User) -> bool:
        """Who was deleted at the access system keeps no address there, though Seam still shows them."""
        return any(
            other.email_address == email and other.acs_system_id == user.acs_system_id
            for other in self.users.values()
            if other is not user and not other.has("deleted_externally")
        )


def _on_its_way(user: User, name: str) -> Any:
    """The value that a field will have when everything pending is through: the last write wins."""
    values = [pending.after[name] for pending in user.pending if name in pending.after]
    return values[-1] if values else getattr(user, name)
