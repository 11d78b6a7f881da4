"""`python -m receiver`: the receiver as a process, or several (`--workers`)."""

from __future__ import annotations

import argparse
import signal
import sys

import uvicorn

from receiver.wire import Http
from seamkeeper import settings
from seamkeeper.errors import ConfigurationError


def main() -> int:
    """Checks every setting first (exit 2 with all mistakes), then serves until SIGTERM or SIGINT."""
    options = _options()
    try:
        settings.load(need=("SEAM_WEBHOOK_SECRET",))
    except ConfigurationError as error:
        print(f"The receiver cannot start:\n{error}", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))  # uvicorn raises it again after a graceful end
    uvicorn.run(
        "receiver.app:create_app",
        factory=True,
        host=options.host,
        port=options.port,
        uds=options.uds,
        http=Http,
        workers=options.workers,
        access_log=False,
        log_level="warning",
        log_config=None,
        server_header=False,
        proxy_headers=bool(options.trust_proxy),
        forwarded_allow_ips=options.trust_proxy or None,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
    )
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m receiver", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--uds", help="a socket path instead of host and port")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port")
    parser.add_argument("--trust-proxy", default="", help="addresses whose X-Forwarded-For is believed")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
