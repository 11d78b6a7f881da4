"""How is a simulated Seam run: in a thread for tests, or as a program?"""

import asyncio
import contextlib
import signal
import socket
import threading
import time
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
    server = uvicorn.Server(_config(world))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        if not server.started:
            raise RuntimeError("the simulator did not start")
        yield Running(_url(listener), world)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def serve(world: World, *, host: str, port: int, on_listening: Callable[[str], None]) -> None:
    """Serve a world until SIGTERM or SIGINT. `on_listening` gets the address once requests are answered."""
    listener = _listen(host, port)
    with contextlib.closing(listener):
        server = _Program(_config(world), lambda: on_listening(_url(listener)))
        asyncio.run(_serve(server, listener))


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
        log_config=None,
        log_level="critical",
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
