"""The folder of `seamkeeper dev`: one start at a time, and what the environment leaves open is kept in it."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seamkeeper import settings
from seamkeeper.errors import ConfigurationError


class InUse(Exception):
    """Somebody lives in the folder; the message says who, and what to do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the data of one `seamkeeper dev` stay."""

    path: Path

    @contextmanager
    def alone(self) -> Iterator[int]:
        """The descriptor of the folder's lock, for the parts to inherit: two starts on the same data would run every
        job in two places, and so would the parts of a start that was killed. Raises `InUse`."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # names and phone numbers of people will be in it
        with self._lock.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUse(self._who_lives_here()) from None
            self.note([])
            yield lock.fileno()

    def note(self, parts: Sequence[int]) -> None:
        """Keeps the process ids, for whoever finds the folder in use: ours first, then those of the parts."""
        self._lock.write_text(" ".join(map(str, [os.getpid(), *parts])), encoding="ascii")

    def environ(self) -> dict[str, str]:
        """This environment, completed. Raises `ConfigurationError` for what cannot work."""
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", "SEAMKEEPER_LOG_FORMAT": "json"}
        if not is_told(environ, "DATABASE_URL"):
            environ["DATABASE_URL"] = f"sqlite:///{self.path / 'seamkeeper.db'}"
        if not is_told(environ, "SEAM_WEBHOOK_SECRET"):
            environ["SEAM_WEBHOOK_SECRET"] = _kept_secret(self.secret_file)
        told = settings.load(environ, need=("SEAM_WEBHOOK_SECRET",))
        environ["SEAM_WEBHOOK_SECRET"] = ",".join(told.webhook_secrets)
        environ.pop("SEAM_WEBHOOK_SECRET_FILE", None)
        return environ

    @property
    def secret_file(self) -> Path:
        """Where the secret is kept that the environment did not give."""
        return self.path / "webhook-secret"

    @property
    def _lock(self) -> Path:
        return self.path / "dev.lock"

    def _who_lives_here(self) -> str:
        dev, *parts = self._lock.read_text(encoding="ascii").split() or ["0"]
        if int(dev) == 0 or _is_alive(int(dev)):
            return f"seamkeeper dev already runs on {self.path} (process {dev}). End it, or set SEAMKEEPER_DATA_DIR."
        return f"Parts of an earlier seamkeeper dev still run on {self.path}. End them first: kill {' '.join(parts)}"


def is_told(environ: Mapping[str, str], name: str) -> bool:
    """True when the environment gives this setting, itself or as NAME_FILE; an empty one is none."""
    return any(environ.get(each, "").strip() for each in (name, f"{name}_FILE"))


def _kept_secret(file: Path) -> str:
    """The same at every start, readable by this user only."""
    if not file.exists():
        new = file.with_suffix(".new")  # renamed when it is whole: a start that was killed leaves no empty secret
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(), encoding="utf-8")
        new.replace(file)
    secret = file.read_text(encoding="utf-8").strip()
    try:
        return settings.webhook_secret(secret)
    except ValueError as error:
        raise ConfigurationError([f"{file}: {error}. Remove the file to get a new one."]) from error


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's is alive too
    return True
