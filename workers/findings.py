"""Our findings: about a user opened and cleared with each look, as the plan says; and about the service itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from seamkeeper import database, history, issues, users
from workers import notices
from workers.plan import FINDINGS, Plan, key
from workers.tools import Tools


def keep(
    tools: Tools, connection: Connection, raw: Mapping[str, Any], plan: Plan, *, since: datetime
) -> None:  # fmt: skip
    """The findings of the plan are open, and told when they are new; the others it could have had are cleared."""
    acs_user_id, system = str(raw["acs_user_id"]), users.system_of(raw)
    for code in FINDINGS:
        wanted = plan.findings.get(code)
        if not wanted:
            issues.clear_finding(connection, code, acs_user_id=acs_user_id)
            continue
        message = "; ".join(f"{name} {plan.held_back[name]}" for name in wanted)
        detail = {"fields": _fields(connection, acs_user_id, code, wanted, since)}
        about: dict[str, Any] = {"acs_user_id": acs_user_id, "acs_system_id": system}
        if issues.raise_finding(connection, code, **about, message=message, detail=detail):
            notices.issue_raised(tools, kind="finding", code=code, **about, connection=connection)


def _fields(
    connection: Connection, acs_user_id: str, code: str, wanted: Mapping[str, Any], since: datetime
) -> dict[str, Any]:
    """Field -> desired value, and who moved it when, as it was when the finding was raised."""
    fields: dict[str, Any] = {name: {"desired": desired} for name, desired in wanted.items()}
    if code in issues.LEFT_TO_A_PERSON:
        known = _open_fields(connection, acs_user_id).get(code, {})
        for name, each in fields.items():
            is_known = name in known and known[name]["desired"] == each["desired"]
            moves = known[name]["moves"] if is_known else history.moves(connection, acs_user_id, name, since=since)
            each["moves"] = moves
    return fields


def given_up(connection: Connection, acs_user_id: str) -> dict[tuple[str, str], str]:
    """(field, desired value as JSON) -> code, for what is left to a person; another desired value begins anew."""
    found = _open_fields(connection, acs_user_id)
    return {key(name, each["desired"]): code for code, fields in found.items() for name, each in fields.items()}


def _open_fields(connection: Connection, acs_user_id: str) -> dict[str, dict[str, Any]]:
    return {
        issue["code"]: issue["detail"]["fields"]
        for issue in issues.open_issues(connection, acs_user_id)
        if issue["kind"] == "finding" and issue["code"] in issues.LEFT_TO_A_PERSON
    }


def of_the_house(tools: Tools, code: str, message: str | None, detail: Any = None) -> None:
    """A finding about no user and no access system: open while there is a `message`, told when it is new."""
    if message is None:  # nearly always: without the write lock
        with database.reading(tools.engine) as connection:
            if not issues.is_finding_open(connection, code):
                return
    with tools.engine.begin() as connection:
        if message is None:
            issues.clear_finding(connection, code)
        elif issues.raise_finding(connection, code, message=message, detail=detail):
            notices.issue_raised(tools, kind="finding", code=code, acs_system_id=None, connection=connection)
