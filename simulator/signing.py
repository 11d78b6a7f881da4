"""How are deliveries signed?"""

import base64
import importlib
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

Brand = Literal["svix", "webhook"]


def headers(
    secrets: Iterable[str], svix_id: str, body: bytes, *, at: datetime, brand: Brand = "svix"
) -> dict[str, str]:
    """The three headers, signed by the svix library with each secret.

    A rotated secret signs for another 24 h, hence several (Svix, "Secret rotation"). `brand` "webhook" is what
    white-label senders use.
    """
    signer = importlib.import_module("svix.webhooks").Webhook
    text = body.decode()
    signatures = [str(signer(secret).sign(svix_id, at, text)) for secret in secrets]
    return {
        f"{brand}-id": svix_id,
        f"{brand}-timestamp": str(int(at.timestamp())),
        f"{brand}-signature": " ".join(signatures),
    }


def check_secret(secret: str) -> None:
    """Raises ValueError unless the secret is `whsec_` and base64; the library would sign with anything."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as exc:
        raise ValueError("the secret of a webhook is whsec_ followed by base64") from exc
    if not secret.startswith("whsec_") or not key:
        raise ValueError("the secret of a webhook is whsec_ followed by base64")


def load() -> None:
    """Import the svix library now; it takes half a second, too long for a start and for an event loop."""
    importlib.import_module("svix.webhooks")
