"""`seamkeeper dev`: the whole service in one terminal, for real."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import SECRET
from tests.stack import eventually, free_port

SEAMKEEPER = str(Path(sys.executable).parent / "seamkeeper")


@dataclass
class Dev:
    """One start, and what it said."""

    process: subprocess.Popen[bytes]
    log: Path
    folder: Path

    @property
    def said(self) -> str:
        """Stdout and stderr so far."""
        return self.log.read_text()

    def wait_for(self, *patterns: str, within: float = 150) -> str:
        """Until all of them were said; gives everything said."""

        def look() -> bool:
            assert self.process.poll() is None, self.said
            return all(re.search(pattern, self.said, re.MULTILINE) for pattern in patterns)

        eventually(look, within=within, what=f"{patterns} in\n{self.said}")
        return self.said

    def address(self, name: str) -> str:
        """As it is told after this word."""
        found = re.search(rf"^  {name} +(http\S+)$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    def parts(self) -> list[int]:
        """The process ids of the parts, and of what they started."""
        parts = [int(pid) for pid in (self.folder / "dev.lock").read_text().split()[1:]]
        return [*parts, *(pid for part in parts for pid in children(part))]

    def end(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(120)


def children(pid: int) -> list[int]:
    """Of one process."""
    found = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if line.split()[1] == str(pid)]


def is_alive(pid: int) -> bool:
    """False when there is no such process, or only its grave."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(found.strip()) and not found.startswith("Z")


def variables(folder: Path) -> dict[str, str]:
    """An environment without a word about Seamkeeper, but for the folder."""
    ours = ("SEAM", "REDIS", "DATABASE", "RQ_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**environ, "SEAMKEEPER_DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"}


def answer(url: str) -> int:
    """The status of a GET."""
    return httpx.get(url, timeout=60, trust_env=False).status_code


Start = Callable[..., Dev]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `seamkeeper dev`; what is left at the end of the test is killed."""
    started: list[Dev] = []

    def run(*arguments: str, folder: Path | None = None, **environ: str) -> Dev:
        data, log = folder or tmp_path / "data", tmp_path / f"said-{len(started)}"
        ports = ["--port", str(free_port()), "--console-port", str(free_port()), "--seed", "1"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [SEAMKEEPER, "dev", *ports, *arguments], env={**variables(data), **environ}, stdout=out, stderr=out,
                cwd=tmp_path, start_new_session=True,
            )  # fmt: skip
        started.append(Dev(process, log, data))
        return started[-1]

    yield run
    for dev in started:
        if dev.process.poll() is None:
            for pid in dev.parts():
                os.kill(pid, signal.SIGKILL)
            dev.process.kill()
            dev.process.wait()


def refused(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """A start that must end by itself: exit code and stderr."""
    done = subprocess.run(
        [SEAMKEEPER, "dev", *arguments], env={**variables(folder), **environ}, capture_output=True, text=True,
        check=False, timeout=150,
    )  # fmt: skip
    return done.returncode, done.stderr


def asked(line: str, folder: Path) -> int:
    """The exit code of a line typed in another terminal, in another folder."""
    return subprocess.run(["sh", "-c", line], env=variables(folder), cwd=folder.parent, check=False).returncode


def users(folder: Path) -> set[str]:
    """Who is in the database."""
    with sqlite3.connect(folder / "seamkeeper.db") as connection:
        found = {row[0] for row in connection.execute("SELECT acs_user_id FROM acs_users")}
    connection.close()
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_lives_heals_ends_and_comes_back(start: Start) -> None:
    """Events are done and drift is repaired before one's eyes; Ctrl-C ends every process and keeps the data."""
    dev = start()
    dev.wait_for(r"Seamkeeper runs\.", r"  done      ", r"    repair ok ", r"    acs_user\.in_sync ")
    receiver = dev.address("Webhook URL").removesuffix("/webhooks/seam")

    assert answer(f"{receiver}/readyz") == 200
    assert answer(f"{dev.address('Console')}/users") == 200
    elsewhere = re.findall(r"^  Elsewhere +(export REDIS_URL=\S+ DATABASE_URL=\S+)$", dev.said, re.MULTILINE)
    assert asked(f"{elsewhere[0]}; {SEAMKEEPER} sync --all && {SEAMKEEPER} users list", dev.folder) == 0
    assert stat.S_IMODE((dev.folder / "webhook-secret").stat().st_mode) == 0o600
    assert stat.S_IMODE(dev.folder.stat().st_mode) == 0o700
    code, words = refused(dev.folder)
    assert code == 1
    assert f"seamkeeper dev already runs on {dev.folder} (process {dev.process.pid})" in words

    seen, parts = users(dev.folder), dev.parts()
    assert len(parts) >= 6
    assert dev.end() == 0
    assert [pid for pid in parts if is_alive(pid)] == []
    assert "Ended. The data stay in" in dev.said
    assert len(seen) >= 12

    again = start()
    again.wait_for(r"Seamkeeper runs\.", r"  done      ")
    assert users(again.folder) >= seen
    assert SECRET not in again.said
    assert again.address("Console")
    assert re.findall("whsec_\\S+", again.said)[0] == re.findall("whsec_\\S+", dev.said)[0]
    assert again.end(signal.SIGTERM) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ports_that_are_taken_and_a_redis_that_is_given(start: Start, redis_url: str) -> None:
    """Other ports are used, and that is said; no Redis is started beside the given one. A closed terminal ends it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        dev = start("--port", str(port), "--console-port", str(port), REDIS_URL=redis_url, SEAM_WEBHOOK_SECRET=SECRET)
        said = dev.wait_for(r"Seamkeeper runs\.", r"  done      ")

    assert f"Port {port} cannot be used (Address already in use): the receiver takes another one." in said
    assert f"Port {port} cannot be used (Address already in use): the console takes another one." in said
    assert f"Secret        {SECRET}" in said
    assert "--secret-file" not in said
    assert not (dev.folder / "redis").exists()
    assert not (dev.folder / "webhook-secret").exists()
    parts = dev.parts()
    assert dev.end(signal.SIGHUP) == 0
    assert [pid for pid in parts if is_alive(pid)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_kill_leaves_behind(start: Start) -> None:
    """The next start does not run beside the parts that are left, and names them; then it ends the Redis it adopted."""
    dev = start()
    dev.wait_for(r"Seamkeeper runs\.")
    parts = [int(pid) for pid in (dev.folder / "dev.lock").read_text().split()[1:]]
    dev.process.kill()
    dev.process.wait()

    code, words = refused(dev.folder)
    for pid in parts:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not any(map(is_alive, parts)), what="the end of the parts")
    again = start()
    again.wait_for(r"Seamkeeper runs\.")

    assert code == 1
    assert f"End them first: kill {' '.join(map(str, parts))}" in words
    assert again.end() == 0
    assert not (dev.folder / "redis" / "redis.sock").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_part_that_ends(start: Start) -> None:
    """Exit 1, its name and its last words; the others are ended."""
    dev = start()
    dev.wait_for(r"Seamkeeper runs\.")
    parts = dev.parts()

    os.kill(parts[0], signal.SIGKILL)

    assert dev.process.wait(120) == 1
    assert "receiver ended (exit -9)" in dev.said
    assert [pid for pid in parts if is_alive(pid)] == []


@pytest.mark.slow
def test_ctrl_c_while_it_starts(start: Start) -> None:
    """Nothing is left behind."""
    dev = start()
    eventually(lambda: (dev.folder / "logs" / "receiver.log").exists(), what="the receiver")
    time.sleep(0.2)
    parts = dev.parts()

    assert dev.end() in (0, 130)
    assert [pid for pid in parts if is_alive(pid)] == []


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        pytest.param({"SEAM_WEBHOOK_SECRET": "whsec_abc"}, "SEAM_WEBHOOK_SECRET what follows whsec_", id="cut"),
        pytest.param({"SEAM_WEBHOOK_SECRET": "geheim"}, "must begin with whsec_", id="no-secret"),
        pytest.param({"REDIS_URL": "http://x"}, "REDIS_URL must be", id="redis"),
        pytest.param({"DATABASE_URL": "mysql://x"}, "DATABASE_URL must be", id="database"),
    ],
)
def test_settings_that_cannot_work(tmp_path: Path, environ: dict[str, str], reason: str) -> None:
    """Exit 2 with the reason; nothing is started, nothing is written."""
    code, words = refused(tmp_path / "data", **environ)

    assert code == 2
    assert reason in words
    assert not (tmp_path / "data").exists()


def test_a_kept_secret_that_was_edited(tmp_path: Path) -> None:
    """Exit 2: the file is named."""
    (tmp_path / "webhook-secret").write_text("whsec_")

    code, words = refused(tmp_path)

    assert code == 2
    assert f"{tmp_path / 'webhook-secret'}: " in words


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """Exit 1, with the system's words."""
    (tmp_path / "file").write_text("")

    code, words = refused(tmp_path / "file" / "data")

    assert code == 1
    assert "The folder of the data cannot be used" in words


def test_no_redis_to_bring_along(tmp_path: Path) -> None:
    """Exit 1 with the remedy, when the named one is none."""
    code, words = refused(tmp_path / "data", REDIS_SERVER_BIN="/nowhere/redis-server")

    assert code == 1
    assert "REDIS_SERVER_BIN=/nowhere/redis-server is no Redis server" in words
