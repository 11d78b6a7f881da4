"""Verification without I/O: the published vector, and our choice of library held against svix itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from svix.webhooks import Webhook

from receiver.signature import NotProven, Proof, Verifier, proof_of
from tests.conftest import SECRET
from tests.signing import body_of, event, signed

VECTOR_SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"
VECTOR_BODY = b'{"event_type":"ping","data":{"success":true}}'
VECTOR_HEADERS = {
    "svix-id": "msg_loFOjxBNrRLzqYUf",
    "svix-timestamp": "1731705121",
    "svix-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
}


def proof(headers: dict[str, str]) -> Proof:
    """As ASGI brings them."""
    return proof_of((name.encode(), value.encode("latin-1")) for name, value in headers.items())


@pytest.mark.parametrize("family", ["svix", "webhook"])
def test_the_published_vector_is_proven(family: str) -> None:
    """Svix's own example, at its own time."""
    headers = {name.replace("svix", family): value for name, value in VECTOR_HEADERS.items()}

    with time_machine.travel(datetime.fromtimestamp(1731705121, UTC), tick=False):
        Verifier([VECTOR_SECRET]).verify(proof(headers), VECTOR_BODY)


def test_a_decoy_secret_does_not_hide_the_right_one() -> None:
    """Nine that do not match, and then the one that does."""
    decoys = [SECRET[:-4] + f"AA{number}=" for number in range(9)]
    body = body_of(event())

    Verifier([*decoys, SECRET]).verify(proof(signed(body)), body)


BODY = body_of(event())
CASES = {
    "good": (signed(BODY), BODY),
    "old": (signed(BODY, age=timedelta(minutes=6)), BODY),
    "new": (signed(BODY, age=timedelta(minutes=-6)), BODY),
    "no-comma": (signed(BODY) | {"svix-signature": "v1"}, BODY),
    "two-commas": (signed(BODY) | {"svix-signature": "v1,a,b"}, BODY),
    "bad-padding": (signed(BODY) | {"svix-signature": "v1,abc"}, BODY),
    "non-ascii": (signed(BODY) | {"svix-signature": "v1,ä"}, BODY),
    "not-utf8": (signed(BODY), b"\xff"),
    "missing-id": ({name: value for name, value in signed(BODY).items() if name != "svix-id"}, BODY),
    "empty-id-beside-a-good-one": (signed(BODY, family="webhook") | {"svix-id": ""}, BODY),
    "webhook-family": (signed(BODY, family="webhook"), BODY),
    "nan": (signed(BODY) | {"svix-timestamp": "nan"}, BODY),
    "huge": (signed(BODY) | {"svix-timestamp": "1e400"}, BODY),
    "unknown-version-first": (signed(BODY) | {"svix-signature": "v1a,AA " + signed(BODY)["svix-signature"]}, BODY),
}


@pytest.mark.parametrize(("headers", "body"), CASES.values(), ids=CASES.keys())
def test_svix_itself_agrees(headers: dict[str, str], body: bytes) -> None:
    """What `svix.Webhook.verify` accepts is proven here, and nothing else."""
    try:
        Webhook(SECRET).verify(body, headers)
        svix_says = True
    except Exception:
        svix_says = False
    try:
        Verifier([SECRET]).verify(proof(headers), body)
        we_say = True
    except NotProven:
        we_say = False

    assert we_say == svix_says
