"""How does Seam answer everything but `/acs/users/*`? Systems, credentials, events, webhooks, the workspace."""

import random

from . import shapes
from .params import Param, an_id, count, list_of, moment, text, two_moments, url
from .records import Event, Json, Webhook
from .refusals import invalid, not_found
from .world import World

NONE: dict[str, Param] = {}
SYSTEM = {"acs_system_id": Param(an_id, is_required=True)}
SYSTEMS = {"connected_account_id": Param(an_id), "customer_key": Param(text), "search": Param(text)}
CREDENTIAL = {"acs_credential_id": Param(an_id, is_required=True)}
ACCOUNT = {"connected_account_id": Param(an_id, is_required=True)}
EVENT = {"event_id": Param(an_id), "event_type": Param(text), "device_id": Param(an_id)}
OF_EVENT = (
    "acs_system_id", "acs_user_id", "acs_credential_id", "acs_access_group_id", "acs_entrance_id", "acs_encoder_id",
    "connected_account_id", "connect_webview_id", "user_identity_id", "access_grant_id", "access_method_id",
    "access_code_id", "device_id", "space_id",
)  # fmt: skip
EVENTS = {
    "since": Param(moment),
    "between": Param(two_moments, is_list=True),
    "limit": Param(count),
    "unstable_offset": Param(count),
    "event_type": Param(text),
    "event_types": Param(list_of(text), is_list=True),
    "event_ids": Param(list_of(an_id), is_list=True),
    "acs_system_ids": Param(list_of(an_id), is_list=True),
    **{name: Param(an_id) for name in OF_EVENT},
}
WEBHOOK = {"webhook_id": Param(text, is_required=True)}
WEBHOOK_CREATE = {"url": Param(url, is_required=True), "event_types": Param(list_of(text))}
WEBHOOK_UPDATE = {**WEBHOOK, "event_types": Param(list_of(text), is_required=True)}


def get_system(world: World, params: Json, base: str) -> Json:
    return {"acs_system": _system(world, params["acs_system_id"])}


def list_systems(world: World, params: Json, base: str) -> Json:
    account, search = params.get("connected_account_id"), params.get("search", "").casefold()
    found = [
        system.acs_system_id
        for system in world.systems.values()
        if account in (None, system.connected_account_id)
        and (search in system.name.casefold() or search in system.acs_system_id)
        and "customer_key" not in params  # no system here belongs to a customer
    ]
    return {"acs_systems": [_system(world, acs_system_id) for acs_system_id in found]}


def get_credential(world: World, params: Json, base: str) -> Json:
    credential = world.credentials.get(params["acs_credential_id"])
    if credential is None:
        raise not_found("acs_credential", params["acs_credential_id"])
    system = world.system_of(credential)
    return {"acs_credential": shapes.acs_credential(credential, system, workspace_id=world.workspace_id)}


def sync_account(world: World, params: Json, base: str) -> Json:
    """What the access system shows is always fresh here, so there is only the answer."""
    account = params["connected_account_id"]
    if not any(system.connected_account_id == account for system in world.systems.values()):
        raise not_found("connected_account", account)
    return {}


def get_event(world: World, params: Json, base: str) -> Json:
    if not params:
        raise invalid({"": ["Must specify event_id, event_type or device_id"]})
    for event in reversed(world.events):
        if all(event.body.get(name) == value for name, value in params.items()):
            return {"event": event.body}
    raise not_found("event", str(next(iter(params.values()))))


def list_events(world: World, params: Json, base: str) -> Json:
    """Exactly one of since and between (recorded at Seam: 400), both ends exclusive."""
    if ("since" in params) == ("between" in params):
        message = "Must specify either since or between"
        raise invalid({"": [message]}, message)
    found = [event.body for event in world.events if _is_wanted(event, params)]
    if world.settings.event_order == "newest":
        found.reverse()
    elif world.settings.event_order == "shuffled":
        random.Random(len(found)).shuffle(found)
    start = params.get("unstable_offset", 0)
    return {"events": found[start : start + params.get("limit", 500)]}


def create_webhook(world: World, params: Json, base: str) -> Json:
    return {"webhook": shapes.webhook(world.add_webhook(params["url"], params.get("event_types")))}


def get_webhook(world: World, params: Json, base: str) -> Json:
    return {"webhook": shapes.webhook(_webhook(world, params), has_secret=world.settings.has_secrets)}


def list_webhooks(world: World, params: Json, base: str) -> Json:
    return {
        "webhooks": [shapes.webhook(each, has_secret=world.settings.has_secrets) for each in world.webhooks.values()]
    }


def update_webhook(world: World, params: Json, base: str) -> Json:
    webhook = _webhook(world, params)
    if world.settings.unknown_types & set(params["event_types"]):
        raise invalid({"event_types": ["Invalid event types"]})
    webhook.event_types = params["event_types"]
    return {}


def delete_webhook(world: World, params: Json, base: str) -> Json:
    world.remove_webhook(_webhook(world, params).webhook_id)
    return {}


def get_workspace(world: World, params: Json, base: str) -> Json:
    return {"workspace": shapes.workspace(world.workspace_id)}


def _system(world: World, acs_system_id: str) -> Json:
    system = world.find_system(acs_system_id)
    count = sum(user.acs_system_id == acs_system_id for user in world.users.values())
    return shapes.acs_system(system, workspace_id=world.workspace_id, user_count=count)


def _webhook(world: World, params: Json) -> Webhook:
    webhook = world.webhooks.get(params["webhook_id"])
    if webhook is None:
        raise not_found("webhook", params["webhook_id"])
    return webhook


def _is_wanted(event: Event, params: Json) -> bool:
    body = event.body
    if "since" in params and not event.created_at > params["since"]:
        return False
    if "between" in params and not params["between"][0] < event.created_at < params["between"][1]:
        return False
    lists = {"event_types": "event_type", "event_ids": "event_id", "acs_system_ids": "acs_system_id"}
    if any(body.get(field) not in params[name] for name, field in lists.items() if name in params):
        return False
    return all(body.get(name) == params[name] for name in ("event_type", *OF_EVENT) if name in params)
