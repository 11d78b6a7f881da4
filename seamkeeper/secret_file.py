"""The file that holds the webhook's secrets: read strictly, and a new one put in front while the old ones still count.

It is replaced in one step and is never readable by others, not for a moment (a group that alone was let in stays in):
who reads it meanwhile, as the receiver does, finds the old secrets or the new ones, never half of either.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from seamkeeper.settings import webhook_secret, webhook_secrets

_KEPT = 5  # so many secrets are tried for each delivery at most; those of webhooks that are gone sign nothing any more
_LINE = re.compile(r"^(?:export[ \t]+)?SEAM_WEBHOOK_SECRET[ \t]*=(.*)$", re.MULTILINE)


def read(path: Path) -> tuple[str, ...]:
    """The secrets, the newest first. Raises OSError, or ValueError when one could not be Svix's."""
    return webhook_secrets(path.read_text(encoding="utf-8").strip())


def read_env(path: Path) -> tuple[str, ...]:
    """Those of the line SEAM_WEBHOOK_SECRET in a file of variables; none when there is no such line, or no file."""
    found = _LINE.findall(_text(path))
    return webhook_secrets(_bare(found[-1])) if found and _bare(found[-1]) else ()


def put(path: Path, secret: str) -> None:
    """The secret first, those that stand there behind it. Raises OSError, or ValueError for what cannot be one."""
    known = read(path) if _text(path).strip() else ()
    _replace(path, _joined(secret, known) + "\n")


def put_env(path: Path, secret: str) -> None:
    """The same in a file of variables, whose other lines stay."""
    others = [line for line in _text(path).splitlines() if not _LINE.match(line)]
    _replace(path, "\n".join([*others, f"SEAM_WEBHOOK_SECRET={_joined(secret, read_env(path))}"]) + "\n")


def check_writable(path: Path) -> None:
    """Raises OSError when the file could not be replaced: asked before a secret is made that is shown only once."""
    target = path.resolve()
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder")
    if target.exists() and not os.access(target, os.R_OK):
        raise PermissionError(f"{path} cannot be read, and what it holds shall stay")
    with _beside(target):
        pass


def _joined(secret: str, known: tuple[str, ...]) -> str:
    others = [each for each in known if each != secret]
    return ",".join([webhook_secret(secret), *others][:_KEPT])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _bare(value: str) -> str:
    return value.strip().strip("\"'").strip()


def _replace(path: Path, text: str) -> None:
    """In one step. A link stays a link: what it points to is replaced."""
    target = path.resolve()
    with _beside(target) as (new, descriptor):
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
        new.replace(target)


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[tuple[Path, int]]:
    """A new file of ours only in the same folder, and its descriptor; gone after the block unless it was renamed."""
    new = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        with contextlib.suppress(FileNotFoundError):
            found = target.stat()
            if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, found.st_uid, found.st_gid)  # else who could read it before could not any more
            if found.st_mode & 0o077 == 0o040:  # chosen so, for a receiver that is another user of this group
                os.fchmod(descriptor, 0o640)
        yield new, descriptor
    finally:
        os.close(descriptor)
        new.unlink(missing_ok=True)
