"""Which events does Seam send, and with which fields?"""

import json
from collections.abc import Iterable
from datetime import datetime

from .clock import in_microseconds, in_milliseconds
from .records import Issue, Json, System, User
from .shapes import issue as issue_shape


def make_event(event_type: str, fields: Json, *, event_id: str, workspace_id: str, at: datetime) -> Json:
    """A SeamEvent: the fields of its type and the five that every event has (Seam, events reference)."""
    common = {
        "event_id": event_id,
        "event_type": event_type,
        "workspace_id": workspace_id,
        "created_at": in_milliseconds(at),
        "occurred_at": in_microseconds(at),
    }
    return dict(sorted({**common, **fields}.items()))


def to_bytes(event: Json) -> bytes:
    """The body of a delivery: the bare event, no envelope around it (Seam, example webhook payload)."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def of_user(user: User, system: System) -> Json:
    """The fields of `acs_user.*`."""
    return {"acs_user_id": user.acs_user_id, **of_system(system)}


def of_system(system: System) -> Json:
    """The fields of `acs_system.added` and `acs_system.connected`."""
    return {"acs_system_id": system.acs_system_id, "connected_account_id": system.connected_account_id}


def of_disconnection(system: System) -> Json:
    """The fields of `acs_system.disconnected`: the four lists are required (Seam, events reference)."""
    return {
        **of_system(system),
        "acs_system_errors": _shapes(system.issues, "error"),
        "acs_system_warnings": _shapes(system.issues, "warning"),
        "connected_account_errors": [],
        "connected_account_warnings": [],
    }


def of_credential(acs_credential_id: str, system: System) -> Json:
    """The fields of `acs_credential.*`. They do not say whose credential it is (Seam, events reference)."""
    return {"acs_credential_id": acs_credential_id, **of_system(system)}


def _shapes(issues: Iterable[Issue], kind: str) -> list[Json]:
    return [issue_shape(issue) for issue in issues if issue.kind == kind]
