"""Which secrets count now? Those of the start, until the file they came from holds others.

Only a signature that none of them proves leads to a look at the file, however many of those come: every other second
at most, and it is read only when it is another one than before. Who is proven pays nothing for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from receiver.signature import NotProven, Proof, Verifier
from seamkeeper import logs, secret_file

_PAUSE = 2.0  # seconds; Svix tries again after five
_Stamp = tuple[int, int, int, int]


class Keyring:
    """The verifier of now, and the file behind it if there is one."""

    def __init__(
        self, secrets: Iterable[str], file: Path | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._verifier, self._file, self._clock = Verifier(secrets), file, clock
        self._seen: _Stamp | None = None  # not of the start: it may have changed since it was read
        self._looked_at, self._told = float("-inf"), ""

    def verify(self, proof: Proof, body: bytes) -> None:
        """As `Verifier.verify`; a replaced file is read before `NotProven` is raised."""
        try:
            self._verifier.verify(proof, body)
        except NotProven:
            if not self._is_renewed():
                raise
            self._verifier.verify(proof, body)

    def _is_renewed(self) -> bool:
        """True when the file was replaced and read. A broken one changes nothing, and is told once."""
        if self._file is None or self._clock() < self._looked_at + _PAUSE:
            return False
        self._looked_at = self._clock()
        try:
            stamp = _stamp(self._file)
            if stamp == self._seen:
                return False
            self._seen = stamp
            secrets = secret_file.read(self._file)
        except (OSError, ValueError) as error:  # neither names a secret: settings.webhook_secret
            if isinstance(error, OSError):
                self._seen = None  # it is tried again: that we may read it now does not show in the stamp
            self._tell_broken(error)
            return False
        self._verifier, self._told = Verifier(secrets), ""
        logs.get().info("secrets.read_anew", number=len(secrets))
        return True

    def _tell_broken(self, error: Exception) -> None:
        if str(error) != self._told:
            logs.get().error("secrets.unreadable", file=str(self._file), error=type(error).__name__, reason=str(error))
        self._told = str(error)


def _stamp(file: Path) -> _Stamp:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
