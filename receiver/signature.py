"""Did Seam send these bytes? The Svix signature, verified over the raw body, without I/O.

`standardwebhooks` is the library that `svix.Webhook.verify` itself hands every call to (svix 1.99.1, `webhooks.py`:
it renames three headers). It is called directly because only it can verify without also parsing the JSON: then "not
proven" (401) and "proven but unreadable" (quarantine) are told apart by where they happen, not by guessing from an
exception, and the process starts 0.7 s sooner. `tests/receiver/test_signature.py` holds both against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from standardwebhooks import Webhook


class NotProven(Exception):
    """The request may come from anybody. Nothing about why is told to the sender."""


class Verifier:
    """Any of several secrets may match, so that one can be replaced while both are in use."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._webhooks = tuple(Webhook(secret) for secret in secrets)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises `NotProven` unless one secret signed these bytes in the last (or next) five minutes.

        The library raises ValueError, binascii.Error and UnicodeDecodeError on what strangers can send (a signature
        without a comma, bad padding, a body that is not UTF-8), beside its own error: all mean the same here.
        """
        named = {f"webhook-{name}": _header(headers, name) for name in ("id", "timestamp", "signature")}
        refusal: Exception | None = None
        for webhook in self._webhooks:
            try:
                webhook.verify(body, named, json_parse=False)
            except Exception as error:
                refusal = error
            else:
                return
        raise NotProven(str(refusal)) from refusal


def delivery_id(headers: Mapping[str, str]) -> str:
    """Svix's id of the message: the same in every attempt."""
    return _header(headers, "id")


def _header(headers: Mapping[str, str], name: str) -> str:
    """`svix-*` wins over `webhook-*`, the names that white-label senders use (as in the svix library)."""
    value = headers.get(f"svix-{name}")
    return headers.get(f"webhook-{name}", "") if value is None else value
