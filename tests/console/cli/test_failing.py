"""What goes wrong is a sentence and an exit code, never a traceback."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest
from sqlalchemy import Engine

from console import cli
from seamkeeper.errors import Permanent
from tests.console.web.conftest import keep_user
from tests.stack import eventually

from .conftest import NOBODY, Seamkeeper

WRONG = {"SEAM_WEBHOOK_SECRET": "whsec_abc", "REDIS_URL": "http://x", "SEAMKEEPER_REPAIR": "perhaps"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "list"], ["events", "show", "e1"], ["desired", "set", "u1", "full_name=Jack"], ["sync", "--all"],
        ["migrate"], ["send", "acs_user.created"], ["health", "--worker"], ["dev"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_every_wrong_setting_is_told_at_once(
    seamkeeper_anywhere: Seamkeeper, tmp_path: Path, arguments: list[str]
) -> None:
    """Exit 2, each with its variable, and nothing is started."""
    said = seamkeeper_anywhere(*arguments, **WRONG, SEAMKEEPER_DATA_DIR=str(tmp_path / "data"))

    assert (said.code, said.out) == (2, "")
    assert all(f"- {name} " in said.err for name in WRONG)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        pytest.param({"DATABASE_URL": "postgresql://u:secret@h:port/d"}, 2, "DATABASE_URL must have a port", id="port"),
        pytest.param({"DATABASE_URL": "sqlite:////dev/null/x/y.db"}, 5, "folder of DATABASE_URL", id="folder"),
        pytest.param({"DATABASE_URL": "sqlite:////dev/null"}, 5, "database", id="no-file"),
        pytest.param({"DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/d"}, 5, "does not answer", id="refused"),
    ],
)
def test_a_database_that_cannot_be(
    seamkeeper_anywhere: Seamkeeper, variables: dict[str, str], code: int, words: str
) -> None:
    """Its password is in no sentence."""
    said = seamkeeper_anywhere("users", "list", **variables)

    assert said.code == code
    assert words in said.err
    assert "secret" not in said.err


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        pytest.param("redis://localhost:port", 2, "REDIS_URL must have a port", id="port"),
        pytest.param("redis://localhost:1?nonsense=1", 2, "REDIS_URL is no address", id="option"),
        pytest.param(NOBODY, 5, "Redis does not answer: Error 111 connecting", id="refused"),
        pytest.param("unix:///nowhere/redis.sock", 5, "Redis does not answer", id="socket"),
    ],
)
def test_a_redis_that_cannot_be(seamkeeper_anywhere: Seamkeeper, url: str, code: int, words: str) -> None:
    """What was tried is said."""
    said = seamkeeper_anywhere("sync", "u1", REDIS_URL=url)

    assert said.code == code
    assert words in said.err


def test_a_database_without_tables(seamkeeper_anywhere: Seamkeeper, tmp_path: Path) -> None:
    """The remedy is named."""
    said = seamkeeper_anywhere("users", "list", "--json", DATABASE_URL=f"sqlite:///{tmp_path / 'new.db'}")

    assert (said.code, said.out) == (5, "")
    assert "Run: seamkeeper migrate" in said.err


def test_a_postgresql_without_tables(seamkeeper_anywhere: Seamkeeper, postgresql_url: str) -> None:
    """The same; a database that does not exist is something else."""
    empty = seamkeeper_anywhere("users", "list", DATABASE_URL=postgresql_url)
    missing = seamkeeper_anywhere("users", "list", DATABASE_URL=postgresql_url.replace("/postgres?", "/nowhere?"))

    assert (empty.code, missing.code) == (5, 5)
    assert "Run: seamkeeper migrate" in empty.err
    assert "does not exist" in missing.err
    assert "migrate" not in missing.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_tables_of_another_version(seamkeeper: Seamkeeper, tmp_path: Path) -> None:
    """A column that is missing is the same remedy."""
    with sqlite3.connect(tmp_path / "seamkeeper.db") as connection:
        connection.execute("ALTER TABLE acs_users RENAME COLUMN display_name TO name")
    connection.close()

    said = seamkeeper("users", "list")

    assert said.code == 5
    assert "Run: seamkeeper migrate" in said.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_bytes_that_are_no_text(seamkeeper: Seamkeeper) -> None:
    """Exit 2."""
    said = seamkeeper("users", "list", "--search", os.fsdecode(b"J\xf6rg"))

    assert said.code == 2
    assert "not UTF-8" in said.err


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (Permanent("no"), 1), (BrokenPipeError(32, "Broken pipe"), 1)],
    ids=["interrupted", "failed", "reader-gone"],
)
def test_other_ends(
    seamkeeper_anywhere: Seamkeeper, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """130 for Ctrl-C, 1 for what this product raises on purpose and for a reader that went away."""

    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr("console.cli.migrate.migrate_command", failing)
    stdout, stderr = sys.stdout, sys.stderr

    said = seamkeeper_anywhere("migrate")

    sys.stdout, sys.stderr = stdout, stderr  # click makes them silent when the reader went away
    assert said.code == code
    assert "Traceback" not in said.err


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is hidden behind a polite sentence."""

    @click.command()
    def failing() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("console.cli.migrate.migrate_command", failing)
    monkeypatch.setattr("sys.argv", ["seamkeeper", "migrate"])

    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_ctrl_c_in_a_real_process(environment: dict[str, str]) -> None:
    """Exit 130, without a traceback."""
    reads, writes = os.pipe()
    os.write(writes, b"{")
    with os.fdopen(reads, "rb") as stdin, os.fdopen(writes, "wb"), subprocess.Popen(
        [sys.executable, "-m", "console", "send", "--data", "-"], env=environment, stdin=stdin,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        eventually(lambda: not _unread(reads), what="the command that waits for the rest")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        err = process.stderr.read()

    assert process.returncode == 130
    assert b"Traceback" not in err


def _unread(pipe: int) -> int:
    """Bytes that nobody has taken out of it yet."""
    (found,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    return int(found)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_terminal_that_knows_only_ascii(environment: dict[str, str], engine: Engine) -> None:
    """Is no reason to fail."""
    keep_user(engine, "u1", name="Jörg")
    ascii_only = {**environment, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "console", "users", "list"]

    done = subprocess.run(command, env=ascii_only, check=True, capture_output=True)

    assert b"J\\xf6rg" in done.stdout
