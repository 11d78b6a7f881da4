"""A secret that is replaced while the receiver runs."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.keyring import Keyring
from receiver.signature import NotProven, proof_of
from seamkeeper import secret_file
from tests.conftest import SECRET
from tests.signing import body_of, event, signed
from tests.stack import Stack, eventually, stack

NEW = "whsec_" + base64.b64encode(b"the next secret, of 32 bytes ...").decode()
STRANGER = "whsec_" + base64.b64encode(b"a secret that nobody gave us ...").decode()


class Time:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Holds the old secret."""
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n", encoding="utf-8")
    return path


@pytest.fixture
def deployment(redis_url: str, file: Path, tmp_path: Path) -> Iterator[Stack]:
    """A receiver whose secret comes from the file."""
    told = {"PATH": os.environ["PATH"], "SEAM_WEBHOOK_SECRET_FILE": str(file), "REDIS_URL": redis_url}
    with stack({**told, "SEAMKEEPER_LOG_FORMAT": "json", "SEAMKEEPER_REDIS_WAIT_SECONDS": "15"}, tmp_path) as found:
        yield found


def is_proven(keyring: Keyring, secret: str) -> bool:
    """Whether a delivery that this secret signed is let in."""
    body = body_of(event())
    headers = [(name.encode(), value.encode()) for name, value in signed(body, secret=secret).items()]
    try:
        keyring.verify(proof_of(headers), body)
    except NotProven:
        return False
    return True


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_replaced_secret_is_taken_without_a_restart(deployment: Stack, file: Path, processes: str) -> None:
    """Both count while both stand there, each process finds out by itself, and a stranger stays one."""
    deployment.start_receiver("--workers", processes)
    assert (deployment.post(event()), deployment.post(event(), secret=NEW)) == (204, 401)

    secret_file.put(file, NEW)

    new = (deployment.post(event(), secret=NEW) for _ in range(100_000))
    eventually(lambda: next(new) == 204, what="the new secret")
    eventually(lambda: {deployment.post(event(), secret=NEW) for _ in range(20)} == {204}, what="all processes")
    assert (deployment.post(event()), deployment.post(event(), secret=STRANGER)) == (204, 401)
    log = (deployment.logs / "receiver.log").read_text(encoding="utf-8")
    assert not any(secret.removeprefix("whsec_") in log for secret in (SECRET, NEW, STRANGER))


def test_an_old_secret_ends_when_the_file_holds_it_no_more(file: Path) -> None:
    """With the next look at the file."""
    keyring = Keyring([SECRET], file, clock=Time())
    file.write_text(NEW, encoding="utf-8")

    assert (is_proven(keyring, NEW), is_proven(keyring, SECRET)) == (True, False)


def test_a_broken_file_keeps_the_old_secrets(deployment: Stack, file: Path) -> None:
    """One error in the log, without what stands in the file; a file that is whole again is taken."""
    deployment.start_receiver()
    file.write_text(NEW[:20], encoding="utf-8")

    eventually(lambda: deployment.post(event(), secret=NEW) == 401 and _errors(deployment), what="the error")
    assert deployment.post(event()) == 204
    file.write_text(f"{NEW}\n", encoding="utf-8")
    eventually(lambda: deployment.post(event(), secret=NEW) == 204, what="the file that is whole again")

    (line,) = _errors(deployment)
    assert (line["file"], line["error"]) == (str(file), "ValueError")
    assert NEW[6:20] not in json.dumps(line)


def test_a_file_that_could_not_be_read_is_tried_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lets the receiver read it (chmod) changes nothing by which it is told to be another one."""

    def forbidden(path: Path) -> tuple[str, ...]:
        raise PermissionError(13, "Permission denied", str(path))

    time = Time()
    keyring = Keyring([SECRET], file, clock=time)
    secret_file.put(file, NEW)
    with monkeypatch.context() as patched:
        patched.setattr(secret_file, "read", forbidden)
        assert not is_proven(keyring, NEW)
    time.now += 2

    assert is_proven(keyring, NEW)


def test_a_group_that_could_read_the_file_still_can(file: Path) -> None:
    """The receiver may be another user than the worker who replaces it. Where all could read it nobody chose that."""
    modes = []
    for mode in (0o640, 0o644):
        file.chmod(mode)
        secret_file.put(file, NEW)
        modes.append(file.stat().st_mode & 0o777)

    assert modes == [0o640, 0o600]


def test_strangers_do_not_make_it_read_more_often(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand forgeries are one look every two seconds, and one reading of a file that stays as it is."""
    reads: list[Path] = []
    read = secret_file.read

    def counted(path: Path) -> tuple[str, ...]:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(secret_file, "read", counted)
    time = Time()
    keyring = Keyring([SECRET], file, clock=time)
    forgeries = 0

    for time.now in range(10):
        forgeries += sum(not is_proven(keyring, STRANGER) for _ in range(100))

    assert (forgeries, len(reads)) == (1000, 1)
    file.write_text(f"{NEW},{SECRET}", encoding="utf-8")
    assert not is_proven(keyring, NEW)  # the look of this pause was a stranger's
    time.now += 2
    assert is_proven(keyring, NEW)
    assert len(reads) == 2


def test_who_is_proven_costs_no_look_at_the_file(file: Path) -> None:
    """It may even be gone."""
    keyring = Keyring([SECRET], file)
    file.unlink()

    assert is_proven(keyring, SECRET)
    assert not is_proven(keyring, NEW)
    assert is_proven(keyring, SECRET)


def test_the_file_is_never_readable_by_others(tmp_path: Path) -> None:
    """0600 whatever the umask is; new secrets stand in front, five at most, none twice."""
    before = os.umask(0)
    try:
        path = tmp_path / "new"
        for secret in (SECRET, NEW, STRANGER, NEW):
            secret_file.put(path, secret)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_file.read(path) == (NEW, STRANGER, SECRET)
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_a_file_of_variables_keeps_its_other_lines(tmp_path: Path) -> None:
    """The line of the secret is replaced, also one that is quoted or exported."""
    path = tmp_path / ".env"
    path.write_text(f'SEAM_API_KEY=x\nexport SEAM_WEBHOOK_SECRET="{SECRET}"\n# the end\n', encoding="utf-8")

    secret_file.put_env(path, NEW)

    assert path.read_text(encoding="utf-8") == f"SEAM_API_KEY=x\n# the end\nSEAM_WEBHOOK_SECRET={NEW},{SECRET}\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("broken", ["nonsense", "whsec_AAAA", f"{SECRET},x"])
def test_a_broken_file_is_not_written_over(tmp_path: Path, broken: str) -> None:
    """Somebody may want to mend what it holds."""
    path = tmp_path / "secret"
    path.write_text(broken, encoding="utf-8")

    with pytest.raises(ValueError, match="whsec_"):
        secret_file.put(path, NEW)

    assert path.read_text(encoding="utf-8") == broken


def test_a_link_stays_a_link(tmp_path: Path, file: Path) -> None:
    """What it points to is replaced."""
    link = tmp_path / "link"
    link.symlink_to(file)

    secret_file.put(link, NEW)

    assert link.is_symlink()
    assert secret_file.read(file) == (NEW, SECRET)


def _errors(deployment: Stack) -> list[dict[str, Any]]:
    log = (deployment.logs / "receiver.log").read_text(encoding="utf-8")
    return [json.loads(line) for line in log.splitlines() if "secrets.unreadable" in line]
