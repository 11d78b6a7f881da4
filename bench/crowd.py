"""Who and what a large deployment holds after a month: made-up users, events and what was done about them.

The same seed gives the same rows. Shares are those of a deployment that was in trouble twice: by an outage of Seam
(dead letters, events tried again, events that only a backfill brought), and by a site without subscriptions.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from seamkeeper.folding import KEYS, search_keys

NOW = datetime.now(UTC).replace(microsecond=0)
DAYS = 30
Row = dict[str, Any]

_FIRST = (
    "Jack",
    "José",
    "Zoë",
    "Mina",
    "Tom",
    "Anaïs",
    "Søren",
    "Łukasz",
    "Eva",
    "Yusuf",
    "Chloé",
    "Ingrid",
    "Åsa",
    "Bo",
)
_LAST = ("Doe", "Pérez", "Becker", "Patel", "Müller", "Nguyễn", "O'Brien", "Çelik", "Ortega", "Łaski", "Smith", "Öberg")
# type -> weight, whether something reacts to it, whether it is about a user
_TYPES = {
    "acs_user.created": (22, True, True),
    "acs_user.deleted": (14, True, True),
    "lock.unlocked": (24, False, False),
    "device.connected": (8, False, False),
    "device.disconnected": (8, False, False),
    "acs_credential.issued": (9, False, True),  # only in the second system
    "acs_credential.deleted": (4, False, True),
    "acs_system.connected": (2, True, False),
    "acs_system.disconnected": (2, True, False),
    "access_code.set_on_device": (3, False, False),
    "access_code.removed_from_device": (3, False, False),
    "connected_account.connected": (0.5, False, False),
    "thermostat.temperature_changed": (0.5, False, False),
}
_ISSUES = ("salto_ks_user_not_subscribed", "salto_ks_subscription_limit_exceeded", "failed_to_update_on_acs_system",
           "deleted_externally", "unknown_issue_with_acs_user")  # fmt: skip
_CAUSES = ("seam:400:invalid_input", "seam:404", "seam:5xx", "seam:no_answer", "seam:409", "unexpected:KeyError")


@dataclass(slots=True)
class Crowd:
    """`users` and `events` are numbers of rows; the rest follows from them."""

    users: int
    events: int
    seed: int = 6
    systems: list[str] = field(default_factory=list)
    user_ids: list[str] = field(default_factory=list)
    home: list[int] = field(default_factory=list)  # of each user, the place of the system
    dead: list[Row] = field(default_factory=list)
    chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.chance.seed(self.seed)
        self.systems = [self._id() for _ in range(20)]
        self.user_ids = sorted(self._id() for _ in range(self.users))
        weights = [40, 20] + [2] * 16 + [1, 0.1]  # two are large, the last has hardly anybody
        self.home = self.chance.choices(range(20), weights, k=self.users)

    @property
    def busiest(self) -> str:
        """The user with the longest history."""
        return self.user_ids[self.users // 2]

    def acs_users(self) -> Iterator[Row]:
        """100,000 of them: a third not managed, few in trouble."""
        pick = self.chance
        for acs_user_id, home in zip(self.user_ids, self.home, strict=True):
            name = f"{pick.choice(_FIRST)} {pick.choice(_LAST)}"
            mail, phone = f"u{pick.getrandbits(32):x}@example.com", f"+1555{pick.randrange(10**7):07}"
            sync = pick.choices(("in_sync", "unknown", "drifted", "applying", "paused"), (60, 36, 2, 0.3, 0.7))[0]
            health = pick.choices(("ok", "warning", "error", "deleted"), (94, 2, 1, 3))[0]
            raw = {"acs_user_id": acs_user_id, "full_name": name, "email": mail, "phone_number": phone, "errors": [],
                   "warnings": [], "pending_mutations": [], "pad": "x" * 700}  # fmt: skip
            drift = {"phone_number": {"desired": phone, "observed": None}} if sync == "drifted" else {}
            read_at = NOW - timedelta(seconds=pick.randrange(900))
            yield {
                "acs_user_id": acs_user_id, "acs_system_id": self.systems[home], "workspace_id": "w1",
                "display_name": name, "full_name": name, "email_address": mail, "phone_number": phone,
                "is_suspended": False, "sync": "unknown" if health == "deleted" else sync, "health": health,
                "drift": json.dumps(drift),
                "observed": json.dumps(raw), "read_at": read_at, "first_seen_at": NOW - timedelta(days=200),
                "changed_at": read_at, "deleted_at": read_at if health == "deleted" else None,
                **dict(zip(KEYS, search_keys(name, mail, phone), strict=True)),
            }  # fmt: skip

    def desired_users(self) -> Iterator[Row]:
        """Of two users in three."""
        for acs_user_id in self.user_ids:
            if self.chance.random() < 0.65:
                yield {"acs_user_id": acs_user_id, "full_name": "Somebody", "updated_at": NOW, "updated_by": "bench"}

    def issues(self) -> Iterator[Row]:
        """Three users in a hundred have one that is open, and as many had one."""
        for number, acs_user_id in enumerate(self.user_ids):
            for is_open in (True, False):
                if self.chance.random() < 0.03:
                    kind, code = "error" if number % 3 else "warning", self.chance.choices(_ISSUES, (8, 4, 2, 1, 1))[0]
                    at = NOW - timedelta(minutes=self.chance.randrange(40_000))
                    yield {
                        "acs_user_id": acs_user_id, "acs_system_id": self.systems[self.home[number]], "kind": kind,
                        "code": code, "message": "as Seam said it", "first_seen_at": at, "last_seen_at": at,
                        "cleared_at": None if is_open else at + timedelta(hours=1),
                    }  # fmt: skip

    def changes(self) -> Iterator[Row]:
        """Some of everybody, and 20,000 of one."""
        for number in range(self.users * 3):
            who = self.busiest if number % 15 == 0 else self.chance.choice(self.user_ids)
            at = self._moment(number, self.users * 3)
            yield {"acs_user_id": who, "type": "acs_user.changed", "source": "webhook", "at": at,
                   "detail": json.dumps({"fields": ["phone_number"]})}  # fmt: skip

    def actions(self) -> Iterator[Row]:
        """Writes at Seam."""
        total = self.users // 2
        for number in range(total):
            who = self.busiest if number % 10 == 0 else self.chance.choice(self.user_ids)
            at = self._moment(number, total)
            yield {"acs_user_id": who, "endpoint": "/acs/users/update", "source": "webhook", "asked_by": "seamkeeper",
                   "why": "{}", "before": "{}", "request": "{}", "outcome": "ok", "started_at": at,
                   "ended_at": at}  # fmt: skip

    def all_events(self) -> Iterator[Row]:
        """In the order in which they came; those of the newest minutes are not all settled."""
        pick, names = self.chance, list(_TYPES)
        weights = [weight for weight, _, _ in _TYPES.values()]
        for number in range(self.events):
            event_type = pick.choices(names, weights)[0]
            _, is_handled, is_of_user = _TYPES[event_type]
            who = self.users // 2 if is_of_user and number % 50 == 0 else pick.randrange(self.users)
            home = 1 if event_type == "acs_credential.issued" else self.home[who]
            event_id, at = self._id(), self._moment(number, self.events)
            is_outage = 0.6 < number / self.events < 0.62
            status, tries, source = "done" if is_handled else "ignored", 1, "webhook"
            if is_outage and pick.random() < 0.5:
                tries, source = pick.randrange(2, 9), "backfill"
            if pick.random() < (0.06 if is_outage and is_handled else 0.002):
                status, tries = "dead", 8
            elif pick.random() < 0.01:
                tries = pick.randrange(2, 5)
            elif pick.random() < 0.001:
                source = "replay"
            if number > self.events - 300 and number % 3 == 0:
                status = ("received", "running", "retrying")[number % 9 // 3]
            elif pick.random() < 0.0003:
                status, event_type = "quarantined", "unreadable"
            body = {"event_id": event_id, "event_type": event_type, "acs_user_id": self.user_ids[who], "pad": "x" * 350}
            is_settled = status in ("done", "ignored", "dead", "quarantined")
            row = {
                "event_id": event_id, "event_type": event_type, "workspace_id": "w1",
                "acs_user_id": self.user_ids[who] if is_of_user else None, "acs_system_id": self.systems[home],
                "status": status, "source": source, "delivery_id": f"msg_{pick.getrandbits(128):x}", "occurred_at": at,
                "received_at": at, "settled_at": at + timedelta(seconds=1) if is_settled else None,
                "reason": "Seam API 400 invalid_input: phone_number" if status == "dead" else None,
                "cause": pick.choice(_CAUSES) if status == "dead" else None, "body": json.dumps(body), "tries": tries,
            }  # fmt: skip
            if status == "dead":
                self.dead.append(row)
            yield row

    def attempts(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Of these events, each try with what it asked Seam."""
        calls = json.dumps([{"method": "GET", "path": "/acs/users/get", "status": 200, "ms": 84, "request_id": "r1"}])
        for row in rows:
            for nth in range(row["tries"]):
                is_last = nth + 1 == row["tries"]
                outcome = ("dead" if row["status"] == "dead" else "ok") if is_last else "retry"
                yield {
                    "event_id": row["event_id"], "acs_user_id": row["acs_user_id"], "job_id": row["event_id"],
                    "job": "handle_event", "started_at": row["received_at"], "ended_at": row["received_at"],
                    "outcome": outcome, "calls": calls, "reason": None if outcome == "ok" else "Seam was silent",
                }  # fmt: skip

    def dead_letters(self) -> Iterator[Row]:
        """An open line for each dead event, and as many that are over."""
        for row in self.dead:
            for ended_at in (None, NOW - timedelta(days=1)):
                yield {
                    "kind": "event", "subject_id": row["event_id"], "job": "handle_event", "cause": row["cause"],
                    "event_type": row["event_type"], "acs_user_id": row["acs_user_id"], "tries": 8,
                    "acs_system_id": row["acs_system_id"], "field": "phone_number", "reason": row["reason"],
                    "first_at": row["received_at"], "died_at": row["received_at"], "ended_at": ended_at,
                }  # fmt: skip

    def audit(self) -> Iterator[Row]:
        """Who did what."""
        for number in range(self.users // 5):
            yield {"at": self._moment(number, self.users // 5), "who": "ops", "role": "operator", "action": "user.sync",
                   "kind": "user", "subject_id": self.chance.choice(self.user_ids), "outcome": "done"}  # fmt: skip

    def _id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128)))

    def _moment(self, number: int, total: int) -> datetime:
        """Evenly over the days, the last one now."""
        return NOW - timedelta(days=DAYS) * (1 - (number + 1) / total)
