"""The form for what is desired of a user: every managed field, checked as the API checks it, mistakes by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from console import desired_input
from console.web import asked as asking
from console.web import words
from console.web.acting import Asked, Done, Form, Refused, Shown
from console.web.asking import queues_of
from console.web.people import need
from console.web.rendering import page
from console.web.state import console_of, part
from console.web.user_actions import until_written
from console.web.user_page import effective_policy, read, stamps_of
from seamkeeper import desired, mirror

_TEXTS = ("full_name", "email_address", "phone_number", "hid_acs_system_id")
_ENDS = ("starts_at", "ends_at")
_LONGEST = 500
_MOVED = (
    "What is desired of this user was changed while you wrote. Below is what you wrote; compare it with the page of "
    "the user, then save again."
)


def desired_page(request: Request) -> Response:
    """GET /users/{id}/desired"""
    need(request, "operator")
    acs_user_id = asking.name_in_path(request, "acs_user_id")
    return _form(request, acs_user_id, None, {}, None)


def save(asked: Asked) -> Done:
    """POST /users/{id}/desired: the fields as they stand in the form; an empty one is not managed any more."""
    acs_user_id = asked.path["acs_user_id"]
    values, wrong = _values(asked.form)
    kept = {name: asked.text(name) for name in (*_TEXTS, "schedule", *_ENDS, "is_suspended")}
    if wrong:
        raise Shown(_form(asked.request, acs_user_id, kept, wrong, None))
    with asked.console.engine.begin() as connection:
        if _stamp(connection, acs_user_id) != asked.text("seen_desired"):
            raise Shown(_form(asked.request, acs_user_id, kept, {}, _MOVED))
        if values:
            is_new = desired.replace_desired(connection, acs_user_id, values, by=asked.person.name)
        else:
            is_new = desired.forget_desired(connection, acs_user_id)
    to = f"/users/{words.segment(acs_user_id)}"
    if not is_new:
        return Done("It was so already; nothing was changed.", to)
    _ask(asked, "desired state set")
    return Done(_said(asked, values), to, {"fields": sorted(values)})


def remove(asked: Asked) -> Done:
    """POST /users/{id}/desired/remove: nothing is compared or written any more."""
    acs_user_id = asked.path["acs_user_id"]
    to = f"/users/{words.segment(acs_user_id)}"
    with asked.console.engine.begin() as connection:
        if _stamp(connection, acs_user_id) != asked.text("seen_desired"):
            raise Refused("What is desired was changed meanwhile, so nothing was removed. Look again.", to=to)
        if not desired.forget_desired(connection, acs_user_id):
            raise Refused("Nothing was desired of this user.", to=to)
    _ask(asked, "desired state removed")
    return Done("Nothing is desired of this user any more; nothing is changed at Seam.", to)


def _said(asked: Asked, values: Mapping[str, Any]) -> str:
    if not values:
        return "Nothing is desired of this user any more; nothing is changed at Seam."
    with asked.console.reading() as connection:
        found = mirror.find_user(connection, asked.path["acs_user_id"])
        after = until_written(effective_policy(asked.console, connection, found)) if found else ""
    return f"Saved: {', '.join(values)}. The user is read and compared now.{after}"


def _form(
    request: Request, acs_user_id: str, kept: Mapping[str, str] | None, wrong: Mapping[str, str], notice: str | None
) -> Response:
    """`kept`: what was written, when it could not be saved."""
    console = console_of(request)
    shown = part(lambda: read(console, acs_user_id))
    now = shown.value.user["desired"] if shown.value else {}
    live = {row.name: row.live for row in shown.value.rows} if shown.value else {}
    return page(
        request,
        "desired.html",
        status=422 if wrong or notice else 200,
        acs_user_id=acs_user_id,
        path=f"/users/{words.segment(acs_user_id)}",
        shown=shown,
        written=kept if kept is not None else _written(now),
        live=live,
        wrong=wrong,
        notice=notice,
        stamp=shown.value.stamps.desired if shown.value else _NOTHING,
        is_managed=bool(now),
    )


def _written(now: Mapping[str, Any]) -> dict[str, str]:
    """What is desired, as the fields of the form hold it."""
    schedule = now.get("access_schedule")
    found = {name: str(now.get(name) or "") for name in _TEXTS}
    found |= {end: str(schedule.get(end) or "") if isinstance(schedule, Mapping) else "" for end in _ENDS}
    found["schedule"] = "" if "access_schedule" not in now else "none" if schedule is None else "times"
    found["is_suspended"] = {True: "yes", False: "no"}.get(now.get("is_suspended", ""), "")
    return found


def _values(form: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the form, and field -> what is wrong with it."""
    told = {name: next(iter(values), "").strip() for name, values in form.items()}
    values: dict[str, Any] = {name: told[name] for name in _TEXTS if told.get(name)}
    if told.get("schedule") == "none":
        values["access_schedule"] = None
    elif told.get("schedule") == "times":
        values["access_schedule"] = {end: told.get(end, "") for end in _ENDS}
    if told.get("is_suspended") in ("yes", "no"):
        values["is_suspended"] = told["is_suspended"] == "yes"
    wrong = desired_input.mistakes(values)
    wrong |= {name: f"is longer than {_LONGEST} characters" for name in _TEXTS if len(told.get(name, "")) > _LONGEST}
    return values, wrong


def _stamp(connection: Any, acs_user_id: str) -> str:
    desired.hold(connection, acs_user_id)
    found = mirror.find_user(connection, acs_user_id)
    return stamps_of(found).desired if found else _NOTHING


_NOTHING = stamps_of({"observed": None, "drift": {}, "desired": {}}).desired


def _ask(asked: Asked, what: str) -> None:
    queues_of(asked.console).ask_reconcile(
        asked.path["acs_user_id"], why=f"{what} by {asked.person.name}", source="operator", is_at_front=True
    )
