"""How does Seam write each of its resources? Records in, JSON out."""

from .clock import in_microseconds, in_milliseconds
from .records import Credential, Issue, Json, Pending, Schedule, System, User, Webhook

MUTATION_MESSAGES = {
    "creating": "Seam is in the process of pushing a user creation to the integrated access system.",
    "deleting": "Seam is in the process of pushing a user deletion to the integrated access system.",
    "deferring_creation": "The user will be created on the integrated access system when a credential is issued.",
    "updating_user_information": "Seam is in the process of pushing updated user information to the integrated access "
    "system.",
    "updating_access_schedule": "Seam is in the process of pushing an access schedule update to the integrated access "
    "system.",
    "updating_suspension_state": "Seam is in the process of pushing a suspension state update to the integrated access "
    "system.",
}


def acs_user(user: User, system: System, *, workspace_id: str) -> Json:
    """The acs_user resource. A value that the access system does not have is absent, as at Seam."""
    shape: Json = {
        "acs_user_id": user.acs_user_id,
        "acs_system_id": user.acs_system_id,
        "workspace_id": workspace_id,
        "connected_account_id": system.connected_account_id,
        "created_at": in_milliseconds(user.created_at),
        "display_name": user.full_name or user.email_address or user.phone_number or "Unnamed user",
        "external_type": "salto_site_user",
        "external_type_display_name": "Salto site user",
        "is_managed": True,
        "is_suspended": user.is_suspended,
        "last_successful_sync_at": in_milliseconds(user.synced_at),
        "errors": [issue(each) for each in user.issues if each.kind == "error"],
        "warnings": [issue(each) for each in user.issues if each.kind == "warning"],
        "pending_mutations": [pending(each) for each in user.pending],
        "salto_ks_metadata": {"is_subscribed": user.is_subscribed},
    }
    optional = {
        "full_name": user.full_name,
        "email": user.email_address,
        "email_address": user.email_address,
        "phone_number": user.phone_number,
        "hid_acs_system_id": user.hid_acs_system_id,
        "access_schedule": schedule(user.access_schedule),
    }
    shape.update({name: value for name, value in optional.items() if value is not None})
    if user.identity is not None:
        shape["user_identity_id"] = user.identity.user_identity_id
        shape["user_identity_full_name"] = user.identity.full_name
        shape["user_identity_email_address"] = user.identity.email_address
        shape["user_identity_phone_number"] = user.identity.phone_number
    return shape


def schedule(value: Schedule | None) -> Json | None:
    """An access schedule, in microseconds as it comes back from an access system."""
    if value is None:
        return None
    ends_at = None if value.ends_at is None else in_microseconds(value.ends_at)
    return {"starts_at": in_microseconds(value.starts_at), "ends_at": ends_at}


def issue(value: Issue) -> Json:
    """One entry of `errors` or `warnings`."""
    code_name = f"{value.kind}_code"
    return {code_name: value.code, "message": value.message, "created_at": in_milliseconds(value.created_at)}


def pending(value: Pending) -> Json:
    """One entry of `pending_mutations`; the updating ones say from what to what."""
    shape: Json = {
        "mutation_code": value.code,
        "message": MUTATION_MESSAGES[value.code],
        "created_at": in_milliseconds(value.created_at),
    }
    if value.after:
        shape["from"], shape["to"] = _side(value.before), _side(value.after)
    return shape


def _side(values: Json) -> Json:
    if "access_schedule" not in values:
        return dict(values)
    return schedule(values["access_schedule"]) or {"starts_at": None, "ends_at": None}


def acs_system(system: System, *, workspace_id: str, user_count: int) -> Json:
    """The acs_system resource of a Salto KS site."""
    return {
        "acs_system_id": system.acs_system_id,
        "workspace_id": workspace_id,
        "connected_account_id": system.connected_account_id,
        "connected_account_ids": [system.connected_account_id],
        "created_at": in_milliseconds(system.created_at),
        "name": system.name,
        "external_type": "salto_ks_site",
        "external_type_display_name": "Salto KS site",
        "system_type": "salto_ks_site",
        "system_type_display_name": "Salto KS site",
        "is_credential_manager": False,
        "default_credential_manager_acs_system_id": None,
        "image_url": "https://connect.getseam.com/assets/images/acs_systems/salto_ks_site.png",
        "image_alt_text": "Salto KS site",
        "location": {"time_zone": "Europe/Amsterdam"},
        "acs_user_count": user_count,
        "acs_access_group_count": 0,
        "errors": [issue(each) for each in system.issues if each.kind == "error"],
        "warnings": [issue(each) for each in system.issues if each.kind == "warning"],
    }


def acs_credential(credential: Credential, system: System, *, workspace_id: str) -> Json:
    """The acs_credential resource of a mobile key."""
    at = in_milliseconds(credential.created_at)
    return {
        "acs_credential_id": credential.acs_credential_id,
        "acs_system_id": credential.acs_system_id,
        "acs_user_id": credential.acs_user_id,
        "workspace_id": workspace_id,
        "connected_account_id": system.connected_account_id,
        "access_method": "mobile_key",
        "display_name": "Mobile Key",
        "created_at": at,
        "is_issued": True,
        "issued_at": at,
        "is_managed": True,
        "is_multi_phone_sync_credential": False,
        "is_latest_desired_state_synced_with_provider": True,
        "latest_desired_state_synced_with_provider_at": at,
        "errors": [],
        "warnings": [],
    }


def webhook(value: Webhook, *, has_secret: bool = True) -> Json:
    """The webhook resource; its secret may be left out."""
    found = {"webhook_id": value.webhook_id, "url": value.url, "event_types": list(value.event_types)}
    return {**found, "secret": value.secret} if has_secret else found


def workspace(workspace_id: str) -> Json:
    """The workspace resource of a sandbox."""
    return {
        "workspace_id": workspace_id,
        "name": "Harbour House (simulated)",
        "company_name": "Harbour House",
        "connect_partner_name": "Harbour House",
        "is_sandbox": True,
        "is_suspended": False,
        "is_publishable_key_auth_enabled": False,
        "connect_webview_customization": {},
        "organization_id": None,
    }


def page(cursor: str | None, url: str | None) -> Json:
    """The pagination object of a list."""
    return {"has_next_page": cursor is not None, "next_page_cursor": cursor, "next_page_url": url}
