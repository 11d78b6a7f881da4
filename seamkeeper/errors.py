"""What can go wrong, as one tree: will the same call succeed later, or not?

SeamkeeperError
├── ConfigurationError   the environment is wrong; every mistake listed, the process does not start
├── UnreadableEvent      a signed body that is not an event; it goes to quarantine
├── Temporary            the same call may succeed later; carries the delay when the other side named one
│   └── Postponed        it was not tried: our own limit, or an open circuit; costs none of the tries
│       └── Parked       and whoever closes the circuit asks again: nothing comes back by itself
└── Permanent            it will not; a person reads the reason
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class SeamkeeperError(Exception):
    """The root: everything this product raises on purpose.

    `cause` is one word for all that failed alike (seamkeeper/dead.py lists them), `field` the field that was refused,
    `request_id` Seam's name of the answer; None where nobody knows. A kind of error may have a cause by itself.
    """

    cause: str | None = None
    field: str | None = None
    request_id: str | None = None

    def __init__(
        self, message: str = "", *, cause: str | None = None, field: str | None = None, request_id: str | None = None
    ) -> None:
        self.cause, self.field, self.request_id = cause or self.cause, field, request_id
        super().__init__(message)


class ConfigurationError(SeamkeeperError):
    """Settings that cannot work. `mistakes` holds one sentence each, with the variable and the remedy."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(f"- {mistake}" for mistake in self.mistakes))


class UnreadableEvent(SeamkeeperError):
    """A body that was proven to come from Seam and still cannot be read as an event."""


class Temporary(SeamkeeperError):
    """The same call may succeed later. `delay` is how long the other side asked us to wait, if it said so."""

    cause = "temporary"

    def __init__(
        self, message: str, *, delay: timedelta | None = None, cause: str | None = None, field: str | None = None,
        request_id: str | None = None,
    ) -> None:  # fmt: skip
        self.delay = delay
        super().__init__(message, cause=cause, field=field, request_id=request_id)


class Postponed(Temporary):
    """Nothing was tried at Seam: our own limit or an open circuit said "not now". Costs none of the tries."""

    cause = "our_limit"


class Parked(Postponed):
    """Postponed until a circuit closes: who closes it asks for all that were parked, so this job simply ends."""

    cause = "circuit_open"


class Permanent(SeamkeeperError):
    """The same call will fail again. The message says what was tried, on what, and what came back."""

    cause = "permanent"
