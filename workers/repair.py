"""Repair: the writes that remove drift, checked by us before they are sent, with a line before and one after each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seamkeeper import clock, history, users
from seamkeeper.errors import Permanent, Postponed, Temporary
from seamkeeper.users import Difference
from workers.plan import UPDATE, Step
from workers.tools import Tools


def carry_out(tools: Tools, raw: Mapping[str, Any], step: Step, *, asked_by: str, source: str) -> None:
    """One write, with its line in the audit. Raises Permanent (refused by Seam) or Temporary (perhaps done)."""
    acs_user_id = str(raw["acs_user_id"])
    request = request_of(step, acs_user_id)
    with tools.engine.begin() as connection:
        number = history.begin_action(
            connection, acs_user_id, endpoint=step.endpoint, source=source, asked_by=asked_by, request=request,
            before=dict(raw), why={name: each.as_json() for name, each in step.fields.items()},
        )  # fmt: skip
    try:
        request_id = tools.seam.write(step.endpoint, request, acs_system_id=users.system_of(raw))
    except (Permanent, Temporary) as error:
        outcome = "refused" if isinstance(error, Permanent) else "unknown"
        outcome = "not_sent" if isinstance(error, Postponed) else outcome
        with tools.engine.begin() as connection:
            history.end_action(connection, number, outcome, reason=str(error), request_id=tools.seam.request_id())
        raise
    with tools.engine.begin() as connection:
        history.end_action(connection, number, "ok", request_id=request_id)


def request_of(step: Step, acs_user_id: str) -> dict[str, Any]:
    """The body of the write. Raises Permanent for what Seam would refuse."""
    if step.endpoint != UPDATE:
        return selector(acs_user_id=acs_user_id)
    return update_request({name: each.desired for name, each in step.fields.items()}, acs_user_id=acs_user_id)


def update_request(
    values: Mapping[str, Any], *, acs_user_id: str | None = None, user_identity_id: str | None = None,
    acs_system_id: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The body of an update. Raises Permanent for what Seam would refuse, or take and harm somebody with."""
    chosen = selector(acs_user_id=acs_user_id, user_identity_id=user_identity_id, acs_system_id=acs_system_id)
    if not values:
        raise Permanent("an update without any field changes nothing")
    refused = {name: "is not set by an update" for name in values if name not in users.UPDATABLE_FIELDS}
    refused |= users.mistakes(values, at=clock.now())
    if refused:
        words = "; ".join(f"{name} {sentence}" for name, sentence in refused.items())
        raise Permanent(words, cause="desired_is_wrong", field=next(iter(refused)))
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


def shown(differences: Mapping[str, Difference]) -> dict[str, Any]:
    """Differences as the mirror keeps them."""
    return {name: each.as_json() for name, each in differences.items()}


def _in_utc(values: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule whose times end in Z: Seam's own fake takes no other offset."""
    schedule = values.get("access_schedule")
    if schedule is None:
        return {}
    return {"access_schedule": {name: _with_z(schedule[name]) for name in ("starts_at", "ends_at")}}


def _with_z(instant: str) -> str:
    return instant if instant.endswith("Z") else clock.iso(clock.parse(instant))
