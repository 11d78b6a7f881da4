"""How does Seam answer `/acs/users/*`?"""

import base64
import hashlib
import json
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from . import shapes
from .params import Param, an_id, count, email, list_of, loose_schedule, moment, some_text, text, whole_schedule
from .records import Json, Schedule, User
from .refusals import invalid, not_found
from .world import World

PAGE = 500  # the default of `limit` (Seam, OpenAPI)

SELECTOR = {"acs_user_id": Param(an_id), "user_identity_id": Param(an_id), "acs_system_id": Param(an_id)}
LIST = {
    "acs_system_id": Param(an_id),
    "user_identity_id": Param(an_id),
    "user_identity_email_address": Param(text, is_nullable=True),
    "user_identity_phone_number": Param(text, is_nullable=True),
    "search": Param(some_text),
    "created_before": Param(moment),
    "limit": Param(count),
    "page_cursor": Param(text, is_nullable=True),
}
CREATE = {
    "acs_system_id": Param(an_id, is_required=True),
    "full_name": Param(some_text, is_required=True),
    "email_address": Param(email),
    "email": Param(email),
    "phone_number": Param(text),
    "access_schedule": Param(loose_schedule),
    "acs_access_group_ids": Param(list_of(an_id)),
    "user_identity_id": Param(an_id),
}
UPDATE = {
    **SELECTOR,
    "full_name": Param(some_text),
    "email_address": Param(email),
    "email": Param(email),
    "phone_number": Param(text),
    "hid_acs_system_id": Param(an_id),
    "access_schedule": Param(whole_schedule, is_nullable=True),
}


def get_user(world: World, params: Json, base: str) -> Json:
    return {"acs_user": world.shape(_select(world, params))}


def list_users(world: World, params: Json, base: str) -> Json:
    limit = params.get("limit", PAGE)
    after = _read_cursor(params)
    found = [user for user in world.users.values() if user.number > after and _matches(user, params)]
    page = found[:limit]
    cursor = _cursor(page[-1].number, params) if page and len(found) > limit else None
    return {"acs_users": [world.shape(user) for user in page], "pagination": _pagination(cursor, params, base)}


def create_user(world: World, params: Json, base: str) -> Json:
    acs_system_id = params["acs_system_id"]
    world.find_system(acs_system_id)
    values: Json = {"full_name": params["full_name"], "phone_number": params.get("phone_number")}
    values["email_address"] = params.get("email_address", params.get("email"))
    if "access_schedule" in params:
        given = params["access_schedule"]
        values["access_schedule"] = Schedule(given["starts_at"] or world.now(), given["ends_at"])
    if "user_identity_id" in params:
        values["identity"] = world.find_identity(params["user_identity_id"])
    return {"acs_user": world.shape(world.create_user(acs_system_id, **values))}


def update_user(world: World, params: Json, base: str) -> Json:
    user = _select(world, params)
    changes = {name: value for name, value in params.items() if name not in SELECTOR}
    if "email" in changes:
        changes.setdefault("email_address", changes.pop("email"))
    world.update_user(user, changes)
    return {}


def delete_user(world: World, params: Json, base: str) -> Json:
    world.delete_user(_select(world, params))
    return {}


def suspend_user(world: World, params: Json, base: str) -> Json:
    world.suspend_user(_select(world, params), True)
    return {}


def unsuspend_user(world: World, params: Json, base: str) -> Json:
    world.suspend_user(_select(world, params), False)
    return {}


def _select(world: World, params: Json) -> User:
    """The one user that is meant: by acs_user_id, or by user_identity_id and acs_system_id together (Seam, docs)."""
    by_user = "acs_user_id" in params
    others = [name for name in ("user_identity_id", "acs_system_id") if name in params]
    if by_user and not others:
        return world.find_user(params["acs_user_id"])
    if by_user or len(others) != 2:
        message = "Must specify either acs_user_id, or user_identity_id and acs_system_id"
        raise invalid({"": [message]}, message)
    world.find_system(params["acs_system_id"])
    for user in world.users.values():
        is_theirs = user.identity is not None and user.identity.user_identity_id == params["user_identity_id"]
        if is_theirs and user.acs_system_id == params["acs_system_id"]:
            return user
    raise not_found("acs_user", params["user_identity_id"])


def _matches(user: User, params: Json) -> bool:
    identity = user.identity
    wanted = {
        "acs_system_id": user.acs_system_id,
        "user_identity_id": identity.user_identity_id if identity else None,
        "user_identity_email_address": identity.email_address if identity else None,
        "user_identity_phone_number": identity.phone_number if identity else None,
    }
    if any(params[name] != value for name, value in wanted.items() if name in params):
        return False
    before: datetime | None = params.get("created_before")
    if before is not None and user.created_at >= before:
        return False
    return "search" not in params or _is_found(user, params["search"].casefold())


def _is_found(user: User, search: str) -> bool:
    """A partial match over the fields that Seam names for `search`."""
    texts = [user.full_name, user.phone_number, user.email_address, user.acs_user_id]
    if user.identity is not None:
        texts += [user.identity.user_identity_id, user.identity.full_name, user.identity.phone_number]
    return any(search in each.casefold() for each in texts if each)


def _fingerprint(params: Json) -> str:
    """What a cursor is bound to: every parameter but the cursor itself (Seam, pagination)."""
    same = sorted((name, str(value)) for name, value in params.items() if name != "page_cursor")
    return hashlib.sha256(repr(same).encode()).hexdigest()[:16]


def _cursor(number: int, params: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps([number, _fingerprint(params)]).encode()).decode()


def _read_cursor(params: Json) -> int:
    """The number of the last user of the page before; 0 for the first page."""
    cursor = params.get("page_cursor")
    if cursor is None:
        return 0
    try:
        number, fingerprint = json.loads(base64.urlsafe_b64decode(cursor))
    except (ValueError, TypeError) as exc:
        raise invalid({"page_cursor": ["Invalid page cursor"]}) from exc
    if fingerprint != _fingerprint(params):
        raise invalid({"page_cursor": ["The parameters must be the same as for the page that gave this cursor"]})
    return int(number)


def _pagination(cursor: str | None, params: Json, base: str) -> Json:
    if cursor is None:
        return shapes.page(None, None)
    query: dict[str, Any] = {**params, "page_cursor": cursor}
    if "created_before" in query:
        query["created_before"] = query["created_before"].isoformat()
    texts = {name: "" if value is None else value for name, value in query.items()}
    return shapes.page(cursor, f"{base}/acs/users/list?{urlencode(texts)}")
