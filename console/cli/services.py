"""The commands that become a service: this process is replaced by the door's own, so that signals reach it."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import click

from console import door
from console.cli.arguments import AT_LEAST_ONE, PORT


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=PORT)
@click.option("--workers", default=1, show_default=True, type=AT_LEAST_ONE, help="Processes that share the port.")
@click.option("--trust-proxy", default="", help="Addresses whose X-Forwarded-For is believed.")
def serve_command(**options: Any) -> None:
    """The receiver: POST /webhooks/seam, /livez, /readyz. Needs SEAM_WEBHOOK_SECRET and REDIS_URL."""
    become("receiver", *flags(options))


@click.command("worker")
@click.option("--queues", default="events,reconcile,resync", show_default=True, help="The first one first.")
@click.option("--processes", default=1, show_default=True, type=AT_LEAST_ONE, help="Each serves all the queues.")
@click.option("--concurrency", default=32, show_default=True, type=AT_LEAST_ONE, help="Jobs at once in each process.")
@click.option("--burst", is_flag=True, help="End when the queues are empty, instead of waiting for more.")
def worker_command(**options: Any) -> None:
    """Worker processes that run the jobs, many at once. Needs SEAM_API_KEY, REDIS_URL and DATABASE_URL.

    A process that ends is started again. The first SIGTERM or Ctrl-C lets the running jobs end, a second one puts them
    back into their queues. Exit 0 when all ended in order, 1 when a process had to be killed, 2 for settings or an
    installed RQ that cannot work.
    """
    become("workers", "worker", *flags(options))


@click.command("scheduler")
def scheduler_command() -> None:
    """What runs by the clock. Run one or more; exactly one acts."""
    become("workers", "scheduler")


@click.command("console")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another needs a login or a trusted proxy.")
@click.option("--port", default=8001, show_default=True, type=PORT, help="0 takes a free one.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A name it may be asked by; again for more.")
def console_command(**options: Any) -> None:
    """The console's pages and /metrics."""
    become("console.web", *flags(options))


@click.command("simulate", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def simulate_command(options: tuple[str, ...]) -> None:
    """A simulated Seam: `seamkeeper simulate --help` lists its options."""
    become("simulator", *options)


def flags(options: dict[str, Any]) -> list[str]:
    """Click's options as the arguments they were."""
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        elif isinstance(value, tuple):
            flags += [part for each in value for part in (flag, str(each))]
        elif value is not False and value != "":
            flags += [flag, str(value)]
    return flags


def become(module: str, *arguments: str) -> NoReturn:
    """This process is another door's from now on."""
    command = door.command(module, *arguments)
    os.execv(command[0], command)  # noqa: S606 (the door is a process of its own; no shell is involved)
