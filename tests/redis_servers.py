"""The Redis servers of the tests: in memory where the system has a file system for that, so that no test waits for a
disk, or fails for its sake.

One that a test kills writes before it answers (`appendfsync always`): with `everysec` a killed Redis forgets what it
answered while the disk was slow (docs/queue.md), and a test that counts what was acknowledged would count that.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from console import embedded_redis

_MEMORY, _ENOUGH = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 (folders of our own in it, made by mkdtemp); bytes


@contextmanager
def redis_folder() -> Iterator[Path]:
    """For the data of one server, gone at the end; its path is short, as that of a socket must be."""
    is_there = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH
    folder = Path(tempfile.mkdtemp(prefix="sk-", dir=_MEMORY if is_there else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class OwnRedis:
    """A server of one test, which may be killed, frozen, stopped and started again on its data."""

    def __init__(self, folder: Path, *, fsync: str = "always") -> None:
        self._folder, self._fsync = folder, fsync
        self._server: embedded_redis.EmbeddedRedis | None = None
        self.start()

    @property
    def url(self) -> str:
        """The address, the same after each start."""
        return self._running().url

    @property
    def socket(self) -> Path:
        """The same, as a path."""
        return self._running().socket

    def client(self) -> Redis:
        """A new one; its owner closes it."""
        return Redis(unix_socket_path=str(self.socket), socket_timeout=10)

    def start(self) -> None:
        """On the data that are there."""
        self._server = embedded_redis.start(self._folder)
        with self.client() as redis:
            redis.config_set("appendfsync", self._fsync)

    def kill(self) -> None:
        """SIGKILL: it has no time to write anything."""
        self._signal(signal.SIGKILL)
        self.stop()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It keeps its connections and answers nobody."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """In order; nothing happens when it does not run."""
        self._running().stop()

    def _running(self) -> embedded_redis.EmbeddedRedis:
        assert self._server is not None, "it was never started"
        return self._server

    def _signal(self, number: signal.Signals) -> None:
        process = self._running().process
        assert process is not None
        os.kill(process.pid, number)


@contextmanager
def own_redis(*, fsync: str = "always") -> Iterator[OwnRedis]:
    """One that ends with the test, also when that fails."""
    with redis_folder() as folder:
        server = OwnRedis(folder, fsync=fsync)
        try:
            yield server
        finally:
            server.stop()
