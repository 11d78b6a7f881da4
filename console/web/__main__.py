"""`python -m console.web`: serves the pages until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys

import uvicorn

from console.web.access import needs_login
from console.web.guard import is_loopback
from seamkeeper import settings
from seamkeeper.errors import ConfigurationError

_PATIENCE = 5  # seconds for answers under way when the process is asked to end


def main(arguments: list[str] | None = None) -> int:
    """Gives the exit code: 0 ended when asked, 1 the address is taken, 2 wrong settings or arguments."""
    options = _parser().parse_args(arguments)
    try:
        told = settings.load()
    except ConfigurationError as error:
        return _refuse(f"The console cannot start:\n{error}")
    if not is_loopback(options.host) and not needs_login(told):
        return _refuse(
            f"There is no login, so the console does not listen on {options.host}. Use 127.0.0.1, or set "
            "SEAMKEEPER_CONSOLE_LOGINS (or SEAMKEEPER_TRUSTED_PROXIES, when a proxy signs people in)."
        )
    try:
        listener = _listen(options.host, options.port)
    except OSError as error:
        return _refuse(f"The console cannot listen on {options.host}:{options.port}: {error.strerror}.", code=1)
    _serve(told, listener, names=(options.host, *options.allow_host))
    return 0


def _serve(told: settings.Settings, listener: socket.socket, *, names: tuple[str, ...]) -> None:
    os.environ["RQ_KEY_PREFIX"] = told.redis_key_prefix  # RQ reads it once, when it is imported (it may be in a file)
    from console.web.app import create_app

    config = uvicorn.Config(
        create_app(told, names=names),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    # uvicorn sends the signal it was ended by once more, to whoever listened before: that must not be the default,
    # which would turn an orderly end into "killed".
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: None)
    asyncio.run(_Announcing(config, _address(listener)).serve(sockets=[listener]))


class _Announcing(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self.address = address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"console listening on {self.address}\n")
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m console.web", description="The console's web pages.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8001, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="without a login: a name this console may be asked by, beside those of this machine; again for more",
    )  # fmt: skip
    return parser


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=128)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refuse(sentence: str, *, code: int = 2) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
