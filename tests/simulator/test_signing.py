"""Signatures are those of Svix."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from simulator.signing import check_secret, headers

SECRET = "whsec_plJ3nmyCDGBKInavdOK15jsl"


def test_the_example_of_svix_is_reproduced() -> None:
    """Id, time, body and secret of the Svix documents give the signature of the Svix documents."""
    body = b'{"event_type":"ping","data":{"success":true}}'

    signed = headers([SECRET], "msg_loFOjxBNrRLzqYUf", body, at=datetime.fromtimestamp(1731705121, UTC))

    assert signed == {
        "svix-id": "msg_loFOjxBNrRLzqYUf",
        "svix-timestamp": "1731705121",
        "svix-signature": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    }


@pytest.mark.parametrize("secret", ["", "whsec_", "mySecret", "whsec_!", "plJ3nmyCDGBKInavdOK15jsl"])
def test_secrets_that_are_none_are_refused(secret: str) -> None:
    """The library would take them, and every verification elsewhere would fail."""
    with pytest.raises(ValueError, match="whsec_"):
        check_secret(secret)
