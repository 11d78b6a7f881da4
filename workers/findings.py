"""Our findings about a user: opened and cleared with each look, as the plan says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from seamkeeper import history, issues
from workers.plan import FINDINGS, Plan, key

_LEFT_TO_A_PERSON = ("another_writer", "update_keeps_failing")


def keep(connection: Connection, raw: Mapping[str, Any], plan: Plan, *, since: datetime) -> None:
    """The findings of the plan are open, the others it could have had are cleared."""
    acs_user_id, system = str(raw["acs_user_id"]), raw.get("acs_system_id")
    for code in FINDINGS:
        wanted = plan.findings.get(code)
        if not wanted:
            issues.clear_finding(connection, code, acs_user_id=acs_user_id)
            continue
        fields: dict[str, Any] = {name: {"desired": desired} for name, desired in wanted.items()}
        if code in _LEFT_TO_A_PERSON:
            for name in wanted:
                fields[name]["moves"] = history.moves(connection, acs_user_id, name, since=since)
        message = "; ".join(f"{name} {plan.held_back[name]}" for name in wanted)
        issues.raise_finding(
            connection, code, acs_user_id=acs_user_id, acs_system_id=system, message=message, detail={"fields": fields}
        )


def given_up(connection: Connection, acs_user_id: str) -> frozenset[tuple[str, str]]:
    """Fields that are left to a person, with the desired value for which they are; another value begins anew."""
    return frozenset(
        key(name, each["desired"])
        for issue in issues.open_issues(connection, acs_user_id)
        if issue["code"] in _LEFT_TO_A_PERSON and issue["kind"] == "finding"
        for name, each in issue["detail"]["fields"].items()
    )
