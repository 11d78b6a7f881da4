"""`too_many_missing`: one finding about an access system, raised from two sides, each of which takes back only its own.

A resync says `missing`: its list lacked many. A recreation says `gone`: many went within an hour. `held` is how many
there were. Neither overwrites what the other has found, nor clears it.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection

from seamkeeper import issues

CODE = "too_many_missing"
Side = Literal["missing", "gone"]

_WORDS = {
    "missing": "{missing} of {held} users are missing: a fault of Seam's list, or a great deletion",
    "gone": "{gone} of {held} users went within an hour: none is made anew unless a person approves it",
}


def raise_it(connection: Connection, acs_system_id: str, side: Side, *, number: int, held: int) -> bool:
    """Many are missing, or gone; True when nobody had said so yet."""
    detail = {**_detail(connection, acs_system_id), side: number, "held": held}
    return _keep(connection, acs_system_id, detail)


def clear(connection: Connection, acs_system_id: str, side: Side) -> None:
    """They are not any more, as far as this side is concerned."""
    detail = _detail(connection, acs_system_id)
    if detail.pop(side, None) is None:
        return
    if detail.keys() & _WORDS.keys():
        _keep(connection, acs_system_id, detail)
    else:
        issues.clear_finding(connection, CODE, acs_system_id=acs_system_id)


def is_said(connection: Connection, acs_system_id: str, side: Side) -> bool:
    """True while this side has found many."""
    return side in _detail(connection, acs_system_id)


def _keep(connection: Connection, acs_system_id: str, detail: dict[str, Any]) -> bool:
    message = "; ".join(words.format(**detail) for side, words in _WORDS.items() if side in detail)
    return issues.raise_finding(connection, CODE, acs_system_id=acs_system_id, message=message, detail=detail)


def _detail(connection: Connection, acs_system_id: str) -> dict[str, Any]:
    found = issues.list_issues(connection, code=CODE, acs_system_id=acs_system_id)
    return next((dict(issue["detail"] or {}) for issue in found if issue["acs_user_id"] is None), {})
