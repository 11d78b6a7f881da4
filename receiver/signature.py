"""Did Seam send these bytes? The Svix signature, verified over the raw body, without I/O.

`standardwebhooks` is the library that `svix.Webhook.verify` itself hands every call to (svix 1.99.1, `webhooks.py`:
it renames three headers). It is called directly because only it can verify without also parsing the JSON: then "not
proven" (401) and "proven but unreadable" (quarantine) are told apart by where they happen, not by guessing from an
exception, and the process starts 0.7 s sooner. `tests/receiver/test_signature.py` holds both against each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from standardwebhooks import Webhook

_PAIRS = (
    (b"svix-id", b"webhook-id"),
    (b"svix-timestamp", b"webhook-timestamp"),
    (b"svix-signature", b"webhook-signature"),
)
_NAMES = frozenset(name for pair in _PAIRS for name in pair)


class NotProven(Exception):
    """The request may come from anybody. Nothing about why is told to the sender."""


class Verifier:
    """Any of several secrets may match, so that one can be replaced while both are in use."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._webhooks = tuple(Webhook(secret) for secret in secrets)

    def verify(self, proof: Proof, body: bytes) -> None:
        """Raises `NotProven` unless one secret signed these bytes in the last (or next) five minutes.

        The library raises ValueError, binascii.Error and UnicodeDecodeError on what strangers can send (a signature
        without a comma, bad padding, a body that is not UTF-8), beside its own error: all mean the same here.
        """
        named = {
            "webhook-id": proof.message_id, "webhook-timestamp": proof.timestamp, "webhook-signature": proof.signature,
        }  # fmt: skip
        refusal: Exception | None = None
        for webhook in self._webhooks:
            try:
                webhook.verify(body, named, json_parse=False)
            except Exception as error:
                refusal = error
            else:
                return
        raise NotProven(str(refusal)) from refusal


@dataclass(frozen=True, slots=True)
class Proof:
    """What a request brings to be proven with: Svix's id of the message (the same in every attempt), the time of this
    attempt, and the signatures."""

    message_id: str = ""
    timestamp: str = ""
    signature: str = ""


def proof_of(headers: Iterable[tuple[bytes, bytes]]) -> Proof:
    """The three headers out of all, as ASGI gives them (names in lower case).

    `svix-*` wins over `webhook-*`, the names that white-label senders use (as in the svix library).
    """
    found = {name: value.decode("latin-1") for name, value in headers if name in _NAMES}
    return Proof(*(found.get(svix, found.get(white_label, "")) for svix, white_label in _PAIRS))
