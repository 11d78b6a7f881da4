"""Which users fit a filter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from seamkeeper import desired, mirror
from seamkeeper.database import acs_users, issues
from seamkeeper.folding import KEYS, search_keys

AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)

FILTERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "everybody, by id": ({}, ["u1", "u2", "u3", "u4", "u5"]),
    "a code": ({"code": "no_subscription"}, ["u2", "u4"]),
    "a code that was cleared": ({"code": "over"}, []),
    "a code and a system": ({"code": "no_subscription", "acs_system_id": "s2"}, ["u4"]),
    "a code and a name": ({"code": "no_subscription", "search": "jack"}, ["u2"]),
    "a code of those who are not managed": ({"code": "no_subscription", "managed": False}, ["u4"]),
    "not managed, and there": ({"managed": False}, ["u4"]),
    "managed": ({"managed": True}, ["u1", "u2", "u3"]),
    "managed, and not known how": ({"managed": True, "sync": "unknown"}, ["u3"]),
    "a sync and a health": ({"sync": "drifted", "health": "warning"}, ["u2"]),
    "a sync and a health that nobody has": ({"sync": "in_sync", "health": "deleted"}, []),
    "a name and a sync": ({"search": "Jack", "sync": "drifted"}, ["u2"]),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter(engine: Engine, name: str) -> None:
    """Those that fit, by id; their number is counted alike."""
    users = {
        "u1": ("in_sync", "ok", "s1", "Jack Doe"),
        "u2": ("drifted", "warning", "s1", "Jack Smith"),
        "u3": ("unknown", "ok", "s1", "Mina Patel"),
        "u4": ("unknown", "error", "s2", "José Pérez"),
        "u5": ("unknown", "deleted", "s2", "Jack Gone"),
    }
    made = {"drift": {}, "read_at": AT, "first_seen_at": AT, "changed_at": AT}
    # twice on one user: as Seam's warning and as its error
    open_codes = [("u2", "error", "no_subscription"), ("u2", "warning", "no_subscription"),
                  ("u4", "error", "no_subscription")]  # fmt: skip
    filters, expected = FILTERS[name]

    with engine.begin() as connection:
        for acs_user_id, (sync, health, system, full_name) in users.items():
            row = {"acs_user_id": acs_user_id, "sync": sync, "health": health, "acs_system_id": system}
            keys = dict(zip(KEYS, search_keys(full_name, None, None), strict=True))
            connection.execute(insert(acs_users).values(**row, **made, **keys, display_name=full_name))
        for acs_user_id in ("u1", "u2", "u3"):
            desired.set_desired(connection, acs_user_id, {"full_name": "Somebody"}, by="a test")
        for acs_user_id, kind, code in open_codes:
            about = {"acs_user_id": acs_user_id, "kind": kind, "code": code}
            connection.execute(insert(issues).values(**about, first_seen_at=AT, last_seen_at=AT))
        over = {"acs_user_id": "u1", "kind": "error", "code": "over", "cleared_at": AT}
        connection.execute(insert(issues).values(**over, first_seen_at=AT, last_seen_at=AT))
        found = [user["acs_user_id"] for user in mirror.list_users(connection, **filters)]
        behind = [user["acs_user_id"] for user in mirror.list_users(connection, **filters, after="u2", limit=1)]

    assert found == expected
    assert behind == [each for each in expected if each > "u2"][:1]
