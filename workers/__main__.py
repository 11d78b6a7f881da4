"""`python -m workers`: worker processes; `python -m workers scheduler`: what runs by the clock; `register`: our webhook
at Seam, made or adopted once."""

from __future__ import annotations

import argparse
import logging
import sys

from seamkeeper import logs, settings
from seamkeeper.errors import ConfigurationError
from seamkeeper.queues import QUEUES


def main() -> int:
    """Checks the settings and RQ's version first (exit 2 with all mistakes), then works until SIGTERM or SIGINT. Exit 0
    when all ended in order, 1 when a process had to be killed at the end."""
    if sys.argv[1:2] == ["register"]:
        from workers import register

        logs.configure(level=logging.CRITICAL)  # the sentences of a command are its own
        logging.disable()  # libraries write to stdout, which is for data
        return register.main(sys.argv[2:])
    options = _options()
    try:
        if options.what == "scheduler":
            from workers import schedule

            _check_redis(settings.load())

            return schedule.main()
        return _work(options)
    except ConfigurationError as error:
        print(f"The {options.what} cannot start:\n{error}", file=sys.stderr)  # noqa: T201
        return 2


def _work(options: argparse.Namespace) -> int:
    told = settings.load()
    settings.need_seam(told)
    logs.configure(told.log_format)
    _check_redis(told)
    unknown = sorted(set(options.queues) - set(QUEUES))
    if unknown:
        raise ConfigurationError([f"There is no queue {', '.join(unknown)}; there are {', '.join(QUEUES)}."])
    from workers.concurrent.worker import check_rq

    try:
        check_rq()
    except ValueError as error:
        raise ConfigurationError([str(error)]) from error
    from workers import messenger
    from workers.reactions import load_table
    from workers.supervise import Supervisor

    load_table(told.reactions)  # a mistake in a customer's reactions is found before the first job
    messenger.check(told)
    return Supervisor(
        told, options.queues, processes=options.processes, concurrency=options.concurrency, burst=options.burst
    ).run()


def _check_redis(told: settings.Settings) -> None:
    from redis import Redis

    from seamkeeper import redis_checks

    redis = Redis.from_url(told.redis_url, socket_timeout=2, socket_connect_timeout=2)
    refusal = redis_checks.refusal(redis)
    redis.close()
    if refusal:
        raise ConfigurationError([f"REDIS_URL: {refusal}."])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("worker", "scheduler"), default="worker")
    parser.add_argument("--queues", type=lambda text: text.split(","), default=list(QUEUES))
    parser.add_argument("--processes", type=int, default=1, help="each serves all the queues, the first queue first")
    parser.add_argument("--concurrency", type=int, default=32, help="jobs at once in each process")
    parser.add_argument("--burst", action="store_true", help="ends when the queues are empty")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
