"""Where does the secret of a new webhook go? A file of its own, a file of variables, the terminal, or nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seamkeeper import secret_file, settings

NAME = "SEAM_WEBHOOK_SECRET"


@dataclass(frozen=True, slots=True)
class Place:
    """`known` are the secrets that stand there already, or in SEAM_WEBHOOK_SECRET."""

    file: Path | None
    known: tuple[str, ...]
    put: Callable[[Path, str], None]
    is_printed: bool

    @property
    def is_any(self) -> bool:
        """False when a new secret would be lost."""
        return self.file is not None or self.is_printed

    def check(self) -> None:
        """Raises OSError when nothing could be written there."""
        if self.file:
            secret_file.check_writable(self.file)

    def keep(self, secret: str) -> str:
        """Puts it there; gives `written`, `known` (it stands there), `printed` (the caller's part), `not_asked_for`, or
        `not_shown` for an empty one. Raises OSError and ValueError."""
        if not secret:
            return "not_shown"
        if self.file and secret not in self.known:
            self.put(self.file, secret)
            return "written"
        if self.is_printed:
            return "printed"
        return "known" if self.file or secret in self.known else "not_asked_for"


def place_of(*, secret_path: Path | None, env_path: Path | None, is_printed: bool) -> Place:
    """As it was said; without a word the file that SEAM_WEBHOOK_SECRET_FILE names. Raises OSError and ValueError for a
    file that holds something else."""
    if env_path:
        return Place(env_path, secret_file.read_env(env_path), secret_file.put_env, is_printed)
    named = os.environ.get(f"{NAME}_FILE", "").strip()
    file = secret_path or (Path(named) if named and not is_printed else None)
    if file:
        return Place(file, _known_in(file), secret_file.put, is_printed)
    known: tuple[str, ...] = ()
    with suppress(ValueError):
        known = settings.webhook_secrets(os.environ.get(NAME, "").strip())
    return Place(None, known, secret_file.put, is_printed)


def _known_in(file: Path) -> tuple[str, ...]:
    return secret_file.read(file) if file.exists() and file.read_text(encoding="utf-8").strip() else ()
