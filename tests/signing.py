"""Deliveries as Svix makes them, for the tests: signed by the svix library, sent by httpx."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from svix.webhooks import Webhook

from tests.conftest import SECRET


def event(event_type: str = "acs_user.created", **fields: Any) -> dict[str, Any]:
    """A bare SeamEvent of this type about a new user."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    common = {"event_id": str(uuid.uuid4()), "event_type": event_type, "workspace_id": str(uuid.uuid4())}
    about = {"acs_user_id": str(uuid.uuid4()), "acs_system_id": str(uuid.uuid4())}
    return {**common, **about, "created_at": at, "occurred_at": at, **fields}


def body_of(payload: object) -> bytes:
    """As it goes over the wire."""
    return json.dumps(payload).encode()


def signed(
    body: bytes | str,
    *,
    secret: str = SECRET,
    message_id: str | None = None,
    age: timedelta = timedelta(),
    family: str = "svix",
) -> dict[str, str]:
    """The headers of a delivery made `age` ago."""
    text = body if isinstance(body, str) else body.decode()
    message_id = message_id or f"msg_{uuid.uuid4().hex}"
    at = datetime.now(UTC) - age
    signature = Webhook(secret).sign(message_id, at, text)
    stamp = str(int(at.timestamp()))
    return {f"{family}-id": message_id, f"{family}-timestamp": stamp, f"{family}-signature": signature}
