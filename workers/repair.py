"""Repair: the update that removes drift, checked by us before it is sent, with a line before it and one after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seamkeeper import clock, history, mirror, users
from seamkeeper.errors import Permanent, Temporary
from seamkeeper.mirror import Verdict
from seamkeeper.users import Difference
from workers.tools import Tools

UPDATE = "/acs/users/update"


def repair(tools: Tools, raw: Mapping[str, Any], differences: Mapping[str, Difference], *, why: str) -> dict[str, str]:
    """Sends the drifted fields, and only those. Raises Permanent (refused by Seam) or Temporary.

    What Seam would refuse is not sent; the others are. Gives what was held back: field -> what is wrong with it.
    """
    acs_user_id = str(raw["acs_user_id"])
    wanted = {name: difference.desired for name, difference in differences.items()}
    refused = users.mistakes(wanted, at=clock.now())
    values = {name: value for name, value in wanted.items() if name not in refused}
    if values:
        sent = {name: differences[name] for name in values}
        _write(tools, raw, update_request(values, acs_user_id=acs_user_id), sent, why)
    if refused:
        _mark(tools, acs_user_id, "drifted", {name: differences[name] for name in refused}, held_back(refused))
    return refused


def held_back(refused: Mapping[str, str]) -> str:
    """One sentence for people about what `repair` did not send."""
    return "not sent, mend the desired state: " + "; ".join(f"{name} {sentence}" for name, sentence in refused.items())


def update_request(
    values: Mapping[str, Any], *, acs_user_id: str | None = None, user_identity_id: str | None = None,
    acs_system_id: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The body of an update. Raises Permanent for what Seam would refuse, or take and harm somebody with."""
    chosen = selector(acs_user_id=acs_user_id, user_identity_id=user_identity_id, acs_system_id=acs_system_id)
    if not values:
        raise Permanent("an update without any field changes nothing")
    if refused := users.mistakes(values, at=clock.now()):
        raise Permanent("; ".join(f"{name} {sentence}" for name, sentence in refused.items()))
    return {**chosen, **values, **_in_utc(values)}


def selector(
    *, acs_user_id: str | None = None, user_identity_id: str | None = None, acs_system_id: str | None = None
) -> dict[str, str]:
    """acs_user_id, or user_identity_id with acs_system_id, never both (Seam's prose; neither its schema nor the SDK
    checks it). Raises Permanent."""
    if acs_user_id and not (user_identity_id or acs_system_id):
        return {"acs_user_id": acs_user_id}
    if user_identity_id and acs_system_id and not acs_user_id:
        return {"user_identity_id": user_identity_id, "acs_system_id": acs_system_id}
    raise Permanent("a user is selected by acs_user_id, or by user_identity_id with acs_system_id, never by both")


def _in_utc(values: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule whose times end in Z: Seam's own fake takes no other offset."""
    schedule = values.get("access_schedule")
    if schedule is None:
        return {}
    return {"access_schedule": {name: _with_z(schedule[name]) for name in ("starts_at", "ends_at")}}


def _with_z(instant: str) -> str:
    return instant if instant.endswith("Z") else clock.iso(clock.parse(instant))


def _write(
    tools: Tools, raw: Mapping[str, Any], request: dict[str, Any], differences: Mapping[str, Difference], why: str
) -> None:
    acs_user_id = str(raw["acs_user_id"])
    with tools.engine.begin() as connection:
        line = {"endpoint": UPDATE, "asked_by": why, "request": request, "before": dict(raw)}
        drift = {name: difference.as_json() for name, difference in differences.items()}
        number = history.begin_action(connection, acs_user_id, why=drift, **line)
    try:
        request_id = tools.seam.update_user(request)
    except (Permanent, Temporary) as error:
        outcome = "refused" if isinstance(error, Permanent) else "unknown"
        with tools.engine.begin() as connection:
            history.end_action(connection, number, outcome, reason=str(error), request_id=tools.seam.request_id())
        _mark(tools, acs_user_id, "drifted", differences, str(error))
        raise
    with tools.engine.begin() as connection:
        history.end_action(connection, number, "ok", request_id=request_id)
    _mark(tools, acs_user_id, "applying", differences, None)


def _mark(tools: Tools, acs_user_id: str, sync: str, differences: Mapping[str, Difference], reason: str | None) -> None:
    drift = {name: difference.as_json() for name, difference in differences.items()}
    with tools.engine.begin() as connection:
        mirror.mark(connection, acs_user_id, Verdict(sync, drift, reason))
