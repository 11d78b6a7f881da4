"""How a look at a user differs from an ordinary one: dry, ordered by a person, or because a subscription may be free.

And the words about it that both doors know.

A mode travels as one short string with the job. Asks of different modes never stand for one another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

ORDINARY = ""
DRY = "dry"  # read, mirror, compare; nothing is written at Seam, whatever the policy
SLOT = "slot"  # a subscription of the access system may be free: what a code forbids for want of one is tried
_ORDERED = "ordered"

SHOWN = "shown, not written"  # in the reason of a user whom nothing but the policy, or the mode, holds back
NOT_SENT = "not sent: "  # begins the reason of a user of whom single fields are held back
MOVED = "not as it was when the plan was made: nothing was written"


def ordered(drift: Mapping[str, Any] | None = None) -> str:
    """A person orders the repair by name; with the drift of a plan, only while the drift is this one."""
    return _ORDERED if drift is None else f"{_ORDERED}-{fingerprint(drift)}"


def is_ordered(mode: str) -> bool:
    """True for what a person ordered."""
    return mode.partition("-")[0] == _ORDERED


def is_as_planned(mode: str, drift: Mapping[str, Any]) -> bool:
    """False when the order was given for another drift."""
    expected = mode.partition("-")[2]
    return not expected or expected == fingerprint(drift)


def fingerprint(drift: Mapping[str, Any]) -> str:
    """Of a drift as the mirror keeps it (field -> observed and desired value): no values, for they are people's."""
    return hashlib.sha256(json.dumps(dict(drift), sort_keys=True).encode()).hexdigest()[:32]
