"""Which of the webhooks at Seam is ours, and what is wrong with it? Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seamkeeper.registration import is_same_place
from seamkeeper.settings import webhook_secret
from workers.changes import TYPES

ALL = "*"


@dataclass(frozen=True, slots=True)
class Webhook:
    """As Seam lists it. `secret` is empty when Seam does not show it, or what it shows is none (a mask)."""

    webhook_id: str
    url: str
    event_types: tuple[str, ...]
    secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Webhook:
        """From Seam's JSON; without event_types it gets all of them, which is Seam's default."""
        types = raw.get("event_types")
        wanted = tuple(map(str, types)) if isinstance(types, list) else (ALL,)
        return cls(raw["webhook_id"], str(raw.get("url") or ""), wanted, _secret(raw.get("secret")))


def wanted_types(table: Iterable[str]) -> frozenset[str]:
    """The event types somebody reacts to: changes are found by ourselves, Seam does not know them."""
    return frozenset(table) - TYPES


def lacks(webhook: Webhook, wanted: Collection[str]) -> list[str]:
    """The types that it does not bring."""
    return [] if ALL in webhook.event_types else sorted(set(wanted) - set(webhook.event_types))


def completed(webhook: Webhook, wanted: Collection[str]) -> list[str]:
    """Its types and those that it lacks; what others asked for stays."""
    return [ALL] if ALL in wanted else [*webhook.event_types, *lacks(webhook, wanted)]


def ours(
    webhooks: Iterable[Webhook], url: str, *, secrets: Sequence[str] = (), webhook_id: str | None = None
) -> list[Webhook]:
    """Those with our address, the one to keep first: whose secret we know, which we remember, whose address is spelt as
    ours, and that brings more."""

    def rank(webhook: Webhook) -> tuple[bool, bool, bool, bool]:
        knows_secret, is_remembered = webhook.secret in secrets, webhook.webhook_id == webhook_id
        return not knows_secret, not is_remembered, webhook.url != url, ALL not in webhook.event_types

    return sorted((webhook for webhook in webhooks if is_same_place(webhook.url, url)), key=rank)


def _secret(shown: Any) -> str:
    try:
        return webhook_secret(shown) if isinstance(shown, str) else ""
    except ValueError:
        return ""
