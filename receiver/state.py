"""What every request of this process shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from receiver.intake import Intake
from receiver.keyring import Keyring
from receiver.tally import Tally
from seamkeeper.settings import Settings


@dataclass(slots=True)
class State:
    """Made at start, given to the endpoints as `request.state.door`."""

    settings: Settings
    redis: Any
    keyring: Keyring
    intake: Intake
    tally: Tally
    is_draining: bool = False
