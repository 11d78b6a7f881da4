"""The Redis we bring along: one per folder, data kept, nothing that cannot work is started."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from console import embedded_redis
from console.embedded_redis import NoRedis


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket."""
    found = Path(tempfile.mkdtemp(prefix="sk-"))
    yield found
    shutil.rmtree(found)


@pytest.fixture
def no_server_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither a wheel nor anything on PATH; gives the only folder of PATH."""
    monkeypatch.setattr(embedded_redis, "_in_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REDIS_SERVER_BIN", raising=False)
    return tmp_path


def fake(folder: Path, says: str, name: str = "redis-server") -> Path:
    """A program that says its version."""
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


def client(server: embedded_redis.EmbeddedRedis) -> Redis:
    """By its address, as all others come."""
    return Redis.from_url(server.url)


def test_a_second_start_adopts_the_server_and_leaves_it_running(folder: Path) -> None:
    """One folder, one server; whoever started it ends it."""
    first = embedded_redis.start(folder)
    second = embedded_redis.start(folder)
    second.stop()

    with client(first) as redis:
        assert redis.ping()
    assert second.process is None
    assert second.url == first.url
    first.stop()


def test_sigterm_keeps_the_data(folder: Path) -> None:
    """What was written is there at the next start, and the socket is nobody else's."""
    server = embedded_redis.start(folder)
    mode = server.socket.stat().st_mode
    with client(server) as redis:
        redis.set("name", "Jack")
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(60)
    server.stop()

    again = embedded_redis.start(folder)

    with client(again) as redis:
        assert redis.get("name") == b"Jack"
    again.stop()
    assert stat.S_IMODE(mode) == 0o700


def test_the_lock_lives_as_long_as_the_server(folder: Path) -> None:
    """Though its starter forgot it: the next start adopts it, and may end it when nobody else is left."""
    lost = embedded_redis.start(folder)
    assert lost._lock is not None
    lost._lock.close()

    found = embedded_redis.start(folder)
    assert found.process is None
    found.stop(even_adopted=True)

    assert lost.process is not None
    assert lost.process.wait(60) == 0
    again = embedded_redis.start(folder)
    assert again.process is not None
    again.stop()


@pytest.mark.parametrize("name", ["d" * 120, "a #b ?c %41"], ids=["too-long-for-a-socket", "odd-characters"])
def test_folders_of_any_name(folder: Path, name: str) -> None:
    """The address leads to the server, and the data lie in the folder."""
    long = folder / name

    server = embedded_redis.start(long)

    with client(server) as redis:
        assert redis.ping()
    assert len(str(server.socket)) <= 104
    assert (long / "appendonlydir").is_dir()
    server.stop()


def test_a_short_folder_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name can be guessed: somebody else may have made it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    long = tmp_path / ("d" * 120)
    short = embedded_redis._socket_path(long).parent
    short.chmod(0o755)

    with pytest.raises(NoRedis, match="open to others"):
        embedded_redis.start(long)


def test_the_named_binary_is_taken(no_server_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before all others."""
    fake(no_server_here, "Redis server v=7.0.0 sha=0")
    told = fake(no_server_here, "Server v=9.1.2 sha=0", "mine")
    monkeypatch.setenv("REDIS_SERVER_BIN", str(told))

    assert embedded_redis.find_server() == str(told)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        pytest.param("Redis server v=6.2.14 sha=0", r"is 6\.2; Redis 7\.0 or newer", id="old"),
        pytest.param("nginx version 1.2", "is no Redis server that runs here", id="not-a-redis"),
        pytest.param("", "is no Redis server that runs here", id="silent"),
    ],
)
def test_a_named_binary_that_cannot_serve_is_refused(
    no_server_here: Path, monkeypatch: pytest.MonkeyPatch, says: str, reason: str
) -> None:
    """It was asked for, so nothing else is taken in its place."""
    fake(no_server_here, "Redis server v=7.4.0 sha=0")
    monkeypatch.setenv("REDIS_SERVER_BIN", str(fake(no_server_here, says, "mine")))

    with pytest.raises(NoRedis, match=reason):
        embedded_redis.find_server()


@pytest.mark.parametrize("kind", ["missing", "folder", "not-executable"])
def test_a_named_binary_that_does_not_run(no_server_here: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A sentence, whatever is the matter with it."""
    path = no_server_here / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "not-executable":
        path.write_bytes(b"\x7fELF")
    monkeypatch.setenv("REDIS_SERVER_BIN", str(path))

    with pytest.raises(NoRedis, match=f"REDIS_SERVER_BIN={path} is no Redis server"):
        embedded_redis.find_server()


def test_no_server_found(no_server_here: Path) -> None:
    """The remedies are named."""
    with pytest.raises(NoRedis, match=r"REDIS_URL.*seamkeeper\[local\].*REDIS_SERVER_BIN"):
        embedded_redis.find_server()


def test_only_an_old_server_found(no_server_here: Path, folder: Path) -> None:
    """What was found is named with its version; nothing is started, and the folder is free for the next try."""
    old = fake(no_server_here, "Redis server v=6.2.14 sha=0")

    for _ in range(2):
        with pytest.raises(NoRedis, match=rf"No Redis 7\.0 or newer was found\. {old} is 6\.2\."):
            embedded_redis.start(folder)


def test_a_newer_server_behind_an_old_one(no_server_here: Path) -> None:
    """The old one is passed over."""
    fake(no_server_here, "Server v=6.0.0", "valkey-server")
    new = fake(no_server_here, "Redis server v=8.2.1 sha=0")

    assert embedded_redis.find_server() == str(new)


def test_a_server_that_ends_at_once(no_server_here: Path, folder: Path) -> None:
    """Its exit code and its log are named; the lock is given back."""
    fake(no_server_here, "Redis server v=7.4.0 sha=0")

    for _ in range(2):
        with pytest.raises(NoRedis, match=r"Redis ended at once \(exit 0\); see .*redis\.log"):
            embedded_redis.start(folder)


def test_a_server_that_never_answers(no_server_here: Path, folder: Path) -> None:
    """It is not left behind."""
    program = no_server_here / "redis-server"
    pid = folder / "pid"
    program.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo v=7.4.0 && exit\necho $$ > {pid}\nexec /bin/sleep 60\n")
    program.chmod(0o755)

    with pytest.raises(NoRedis, match="did not answer within 0 s"):
        embedded_redis.start(folder, patience=0.4)

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
