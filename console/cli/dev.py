"""`seamkeeper dev`: the whole service in one terminal, on embedded parts."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from console.cli.arguments import AT_LEAST_ONE, PORT
from console.dev_folder import Folder, InUse, is_told
from console.embedded_redis import NoRedis
from console.embedded_redis import start as start_redis
from console.household import Ended, Household
from seamkeeper import settings

_REPAIRED_SOON = "2,5,15,60,300"  # the simulator applies a change after a second; nobody wants to wait five for a demo

_SIMULATORS_KEY = "seam_test_simulator_key"


@dataclass(frozen=True, slots=True)
class _Wanted:
    port: int
    console_port: int
    simulated: list[str]


@dataclass(frozen=True, slots=True)
class _Addresses:
    receiver: int
    console: int
    seam: str


@click.command("dev")
@click.option("--port", default=8000, show_default=True, type=PORT, help="Of the receiver; another when it is taken.")
@click.option(
    "--console-port", default=8001, show_default=True, type=PORT, help="Of the console; another when it is taken."
)
@click.option("--users", default=12, show_default=True, type=AT_LEAST_ONE, help="People in the simulated building.")
@click.option("--seed", type=int, help="Of the simulated building: the same seed, the same happenings.")
def dev_command(port: int, console_port: int, users: int, seed: int | None) -> int:
    """The whole service on this machine: Redis, SQLite, receiver, two workers, scheduler, console, and a simulated
    building when there is no SEAM_API_KEY. Ctrl-C ends it; the data stay in ./data for the next start."""
    folder = Folder(settings.load().data_dir.resolve())  # every wrong setting is told before anything is started
    household = Household(folder.path / "logs", {}, note=folder.note)
    stop = _told_to_stop(household)
    wanted = _Wanted(port, console_port, ["--users", str(users), *(["--seed", str(seed)] if seed is not None else [])])
    try:
        with folder.alone() as household.held:
            environ = folder.environ()
            with _redis(folder, environ) as redis_url:
                household.environ = {**environ, "REDIS_URL": redis_url} if redis_url else environ
                return _live(household, folder, wanted, stop)
    except (NoRedis, Ended, InUse) as error:
        if stop.is_set():
            return 130
        click.echo(str(error), err=True)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        raise click.ClickException(f"The folder of the data cannot be used: {error}") from error


def _told_to_stop(household: Household) -> threading.Event:
    """Set by the first signal; the second one ends everything at once. A terminal that is closed (SIGHUP) is one."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: Any) -> None:
        if stop.is_set():
            household.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    return stop


def _live(household: Household, folder: Folder, wanted: _Wanted, stop: threading.Event) -> int:
    """Starts the parts, tells the addresses, tails until told to stop, and ends the parts in order."""
    from console.cli.parts import open_database, open_queues
    from console.tail import Tail, adopt_newcomers
    from seamkeeper import migrations
    from seamkeeper.queues import RESYNC_ALL

    told = settings.load(household.environ)
    try:
        with open_database(told) as engine, open_queues(told) as queues:
            migrations.upgrade(engine)
            tail = Tail(engine)
            addresses = _start(household, wanted)
            queues.ask_resync(RESYNC_ALL, "all", why="start of seamkeeper dev")
            _tell(addresses, told, folder)
            while not stop.wait(0.4):
                household.check()
                for acs_user_id in adopt_newcomers(engine) if addresses.seam else ():
                    queues.ask_reconcile(acs_user_id, why="adopted by seamkeeper dev", source="operator")
                for text, colour in tail.lines():
                    click.secho(text, fg=colour)
        click.echo("\nEnding: the running jobs first, Redis last …", err=True)
    finally:
        household.end()
    click.echo(f"Ended. The data stay in {folder.path}.", err=True)
    return 0


def _start(household: Household, wanted: _Wanted) -> _Addresses:
    """The order matters: who is called comes up before who calls. The workers come last, since jobs of an earlier start
    may wait for them, and end first."""
    household.forget_logs()
    is_simulated = not settings.load(household.environ).can_call_seam
    seam_port = _free_port(0) if is_simulated else 0
    if is_simulated:
        instead = {"SEAM_ENDPOINT": f"http://127.0.0.1:{seam_port}", "SEAM_API_KEY": _SIMULATORS_KEY}
        household.environ = {"SEAMKEEPER_REREAD_DELAYS": _REPAIRED_SOON, **household.environ, **instead}
    port = _free_port(wanted.port, "receiver")
    household.start("receiver", "receiver", "--port", str(port))
    _wait_for_port(household, port)
    console_port = _free_port(wanted.console_port, "console")
    household.start("console", "console.web", "--port", str(console_port))
    household.wait_for_line("console", "console listening on")
    if is_simulated:
        hook = ["--deliver-to", f"http://127.0.0.1:{port}/webhooks/seam"]
        hook += ["--secret", household.environ["SEAM_WEBHOOK_SECRET"].partition(",")[0]]
        household.start("simulator", "simulator", "--port", str(seam_port), "--alive", *hook, *wanted.simulated)
        household.wait_for_line("simulator", "simulator listening on")
    household.start("scheduler", "workers", "scheduler")
    for number in (1, 2):
        household.start(f"worker-{number}", "workers", "worker")
    return _Addresses(port, console_port, household.environ["SEAM_ENDPOINT"] if is_simulated else "")


def _tell(addresses: _Addresses, told: settings.Settings, folder: Folder) -> None:
    seam = f"the simulator at {addresses.seam} (SEAM_API_KEY is not set)" if addresses.seam else told.endpoint
    hook = f"http://127.0.0.1:{addresses.receiver}/webhooks/seam"
    click.secho("Seamkeeper runs.", bold=True, nl=False)
    click.echo(f"  Ctrl-C ends it; the data stay in {folder.path}\n")
    click.echo(f"  Console       http://127.0.0.1:{addresses.console}")
    click.echo(f"  Webhook URL   {hook}")
    click.echo(f"  Secret        {','.join(told.webhook_secrets)}")
    click.echo(f"  Seam          {seam}")
    click.echo(f"  Logs          {folder.path / 'logs'}")
    brought = {"REDIS_URL": told.redis_url, "DATABASE_URL": told.database_url}
    ours = [f"{name}={shlex.quote(url)}" for name, url in brought.items() if not is_told(os.environ, name)]
    if ours:
        click.echo(f"  Elsewhere     export {' '.join(ours)}")
    secret = "" if is_told(os.environ, "SEAM_WEBHOOK_SECRET") else f" \\\n{'':18}--secret-file {folder.secret_file}"
    click.echo(f"  Try           seamkeeper send acs_user.created --to {hook}{secret}\n")


@contextmanager
def _redis(folder: Folder, environ: dict[str, str]) -> Iterator[str]:
    """Empty when REDIS_URL names one, else the address of a server of our own that is ended last."""
    if is_told(environ, "REDIS_URL"):
        yield ""
        return
    server = start_redis(folder.path / "redis")
    try:
        yield server.url
    finally:
        server.stop(even_adopted=True)  # what an earlier start lost is ours: nobody else is on this folder


def _free_port(wanted: int, name: str = "") -> int:
    """The wanted port, or a free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                click.echo(f"Port {port} cannot be used ({error.strerror}): the {name} takes another one.", err=True)
                continue
            found: int = probe.getsockname()[1]
            return found
    raise Ended("No port is free on 127.0.0.1.")


def _wait_for_port(household: Household, port: int) -> None:
    for _ in range(1500):
        household.check()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            threading.Event().wait(0.02)
    raise Ended("The receiver did not come up within 30 s.")
