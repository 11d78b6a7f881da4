"""Start a Seam to try things with: `python -m simulator --help`."""

import argparse
import sys

from .alive import to_stderr
from .serve import serve
from .state import API_KEY
from .world import World


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. One line on stdout says where."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.deliver_to is None) != (given.secret is None):
        parser.error("--deliver-to and --secret belong together")
    try:
        world = _world(given)
    except ValueError as exc:
        parser.error(str(exc))
    try:
        serve(world, host=given.host, port=given.port, on_listening=_say_where)
    except OSError as exc:
        print(f"simulator: cannot listen on {given.host}:{given.port}: {exc.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _say_where(url: str) -> None:
    print(f"simulator listening on {url}", flush=True)  # noqa: T201 - programs that start us wait for this line


def _world(given: argparse.Namespace) -> World:
    world = World(seed=given.seed, users=given.users, api_key=given.api_key, speed=given.speed)
    world.settings.pending_seconds = given.pending
    world.is_alive = given.alive
    if given.verbose:
        world.on_happening = to_stderr
    if given.deliver_to is not None:
        world.add_webhook(given.deliver_to, secret=given.secret)
    return world


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="A Seam to try things with, in memory.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8010, help="0 picks a free one (default: 8010)")
    parser.add_argument("--speed", type=_positive, default=1.0, help="divides the waits between deliveries' retries")
    parser.add_argument("--users", type=int, default=12, help="people in the building at the start (default: 12)")
    parser.add_argument("--api-key", default=API_KEY, help=f"the only key that is accepted (default: {API_KEY})")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same ids and people (default: 0)")
    parser.add_argument("--pending", type=float, default=1.0, help="seconds that accepted changes stay pending")
    parser.add_argument("--alive", action="store_true", help="let something happen every few seconds")
    parser.add_argument("--verbose", action="store_true", help="tell on stderr what happens")
    parser.add_argument("--deliver-to", metavar="URL", help="register this webhook at the start")
    parser.add_argument("--secret", metavar="whsec_…", help="the secret that signs for --deliver-to")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
