"""How is a simulated Seam run: in a thread for tests, or as a program?"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from .app import create_app
from .world import World


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that answers at `url`; `world` may be driven directly from any thread."""

    url: str
    world: World

    @property
    def api_key(self) -> str:
        return self.world.api_key


@contextlib.contextmanager
def running(world: World | None = None, *, host: str = "127.0.0.1", **values: Any) -> Iterator[Running]:
    """Serve a world on a free port in a thread, until the block ends.

    `values` are the arguments of `World` (seed, users, api_key, speed), unless a world is given.
    """
    world = world or World(**values)
    listener = _listen(host, 0)
    server = _Threaded(_config(world))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True)
    thread.start()
    try:
        server.wait_until_started()
        yield Running(_url(listener), world)
    finally:
        server.stop()
        thread.join()
        listener.close()


def serve(world: World, *, host: str, port: int, on_listening: Callable[[str], None]) -> None:
    """Serve a world until SIGTERM or SIGINT. `on_listening` gets the address once requests are answered."""
    listener = _listen(host, port)
    with contextlib.closing(listener):
        server = _Program(_config(world), lambda: on_listening(_url(listener)))
        asyncio.run(_serve(server, listener))


class _Threaded(uvicorn.Server):
    """A server that starts and stops within milliseconds: uvicorn's own sleeps 0.1 s here and there, in each test."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._decided = threading.Event()
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def wait_until_started(self) -> None:
        """Raises RuntimeError when the start failed."""
        if not self._decided.wait(10) or not self.started:
            raise RuntimeError("the simulator did not start")

    def stop(self) -> None:
        """End the server from another thread."""
        self.should_exit = True
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            await super().startup(sockets=sockets)
        finally:
            self._decided.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        if self._stopping is not None and not self.should_exit:
            await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in self.servers:
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for task in list(self.server_state.tasks):  # a slow answer, which nobody waits for any more
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        await self.lifespan.shutdown()


class _Program(uvicorn.Server):
    """A server that says when it listens, and leaves the signals to us: uvicorn would raise them again at its end."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(server: _Program, listener: socket.socket) -> None:
    def stop() -> None:
        server.should_exit = True

    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop)
    await server.serve(sockets=[listener])


def _config(world: World) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(world),
        ws="none",
        lifespan="on",
        access_log=False,
        date_header=False,  # the answers carry the world's own time
        log_config=None,
        log_level="error",
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
