"""`seamkeeper dev`: the whole service in one terminal, on embedded parts."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from console.embedded_redis import NoRedis
from console.embedded_redis import start as start_redis
from console.household import Ended, Household
from seamkeeper import settings
from seamkeeper.errors import ConfigurationError

_REPAIRED_SOON = "2,5,15,60,300"  # the simulator applies a change after a second; nobody wants to wait five for a demo

_SIMULATORS_KEY = "seam_test_simulator_key"


@dataclass(frozen=True, slots=True)
class _Addresses:
    receiver: int
    console: int
    seam: str


@click.command("dev")
@click.option("--port", default=8000, show_default=True, help="Of the receiver; another one when it is taken.")
@click.option("--console-port", default=8001, show_default=True, help="Of the console; another one when it is taken.")
@click.option("--users", default=12, show_default=True, help="People in the simulated building.")
@click.option("--seed", type=int, help="Of the simulated building: the same seed, the same happenings.")
def dev_command(port: int, console_port: int, users: int, seed: int | None) -> int:
    """The whole service on this machine: Redis, SQLite, receiver, two workers, scheduler, console, and a simulated
    building when there is no SEAM_API_KEY. Ctrl-C ends it; the data stay in ./data for the next start."""
    stop = threading.Event()
    presses: list[int] = []

    def ask_to_stop(number: int, _frame: Any) -> None:
        presses.append(number)
        stop.set()
        if len(presses) > 1:
            household.kill()

    folder = Path(os.environ.get("SEAMKEEPER_DATA_DIR") or "data").resolve()
    household = Household(folder / "logs", {})
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    try:
        with _alone(folder), _redis(folder) as redis_url:
            household.environ = _environ(folder, redis_url)
            return _live(household, port, console_port, _simulated(users, seed), stop)
    except (NoRedis, Ended) as error:
        if stop.is_set():
            return 130
        click.echo(str(error), err=True)
        return 1


def _live(household: Household, port: int, console_port: int, simulated: list[str], stop: threading.Event) -> int:
    """Starts the parts, tells the addresses, tails until told to stop, and ends the parts in order."""
    from console.cli.parts import open_database, open_queues
    from console.tail import Tail, adopt_newcomers
    from seamkeeper import migrations
    from seamkeeper.queues import RESYNC_ALL

    told = settings.load(household.environ)
    try:
        with open_database(told) as engine:
            migrations.upgrade(engine)
            addresses = _start(household, _free_port(port), _free_port(console_port), simulated)
            with open_queues(settings.load(household.environ)) as queues:
                queues.ask_resync(RESYNC_ALL, "all", why="start of seamkeeper dev")
            _tell(addresses, told, household)
            tail = Tail(engine)
            while not stop.wait(0.4):
                household.check()
                if addresses.seam:
                    adopt_newcomers(engine)
                for text, colour in tail.lines():
                    click.secho(text, fg=colour)
        click.echo("\nEnding: the running jobs first, Redis last …", err=True)
    finally:
        household.end()
    click.echo(f"Ended. The data stay in {household.logs.parent}.", err=True)
    return 0


def _start(household: Household, port: int, console_port: int, simulated: list[str]) -> _Addresses:
    """The order matters: who is called comes up before who calls, and the building comes to life last."""
    household.forget_logs()
    is_simulated = not settings.load(household.environ).can_call_seam
    if is_simulated:
        seam_port = _free_port(0)
        instead = {"SEAM_ENDPOINT": f"http://127.0.0.1:{seam_port}", "SEAM_API_KEY": _SIMULATORS_KEY}
        household.environ = {**household.environ, **instead, "SEAMKEEPER_REREAD_DELAYS": _REPAIRED_SOON}
    household.start("receiver", "receiver", "--port", str(port))
    household.start("scheduler", "workers", "scheduler")
    for number in (1, 2):
        household.start(f"worker-{number}", "workers", "worker")
    household.start("console", "console.web", "--port", str(console_port))
    _wait_for_port(household, port)
    household.wait_for_line("console", "console listening on")
    if is_simulated:
        hook = ["--deliver-to", f"http://127.0.0.1:{port}/webhooks/seam"]
        hook += ["--secret", household.environ["SEAM_WEBHOOK_SECRET"].partition(",")[0]]
        household.start("simulator", "simulator", "--port", str(seam_port), "--alive", *hook, *simulated)
        household.wait_for_line("simulator", "simulator listening on")
    return _Addresses(port, console_port, household.environ["SEAM_ENDPOINT"] if is_simulated else "")


def _tell(addresses: _Addresses, told: settings.Settings, household: Household) -> None:
    seam = f"the simulator at {addresses.seam} (SEAM_API_KEY is not set)" if addresses.seam else told.endpoint
    hook = f"http://127.0.0.1:{addresses.receiver}/webhooks/seam"
    click.secho("Seamkeeper runs.", bold=True, nl=False)
    click.echo(f"  Ctrl-C ends it; the data stay in {household.logs.parent}\n")
    click.echo(f"  Console       http://127.0.0.1:{addresses.console}")
    click.echo(f"  Webhook URL   {hook}")
    click.echo(f"  Secret        {household.environ['SEAM_WEBHOOK_SECRET']}")
    click.echo(f"  Seam          {seam}")
    click.echo(f"  Logs          {household.logs}")
    click.echo(f"  Try           seamkeeper send acs_user.created --to {hook} \\\n"
               f"                  --secret-file {household.logs.parent / 'webhook-secret'}\n")  # fmt: skip


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two of these on the same data would run every job in two places. Raises `Ended`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dev.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Ended(f"seamkeeper dev already runs on {folder}. End it, or set SEAMKEEPER_DATA_DIR.") from None
        yield


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """REDIS_URL, else a server of our own that is ended last."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    server = start_redis(folder / "redis")
    try:
        yield server.url
    finally:
        server.stop()


def _environ(folder: Path, redis_url: str) -> dict[str, str]:
    """This environment, completed. Raises `ConfigurationError` for what cannot work."""
    environ = {**os.environ, "REDIS_URL": redis_url, "PYTHONUNBUFFERED": "1", "SEAMKEEPER_LOG_FORMAT": "json"}
    environ.setdefault("DATABASE_URL", f"sqlite:///{folder / 'seamkeeper.db'}")
    if not (environ.get("SEAM_WEBHOOK_SECRET") or environ.get("SEAM_WEBHOOK_SECRET_FILE")):
        environ["SEAM_WEBHOOK_SECRET"] = _kept_secret(folder / "webhook-secret")
    told = settings.load(environ)
    if not told.webhook_secrets:
        raise ConfigurationError(["SEAM_WEBHOOK_SECRET holds no secret."])
    environ["SEAM_WEBHOOK_SECRET"] = ",".join(told.webhook_secrets)
    environ.pop("SEAM_WEBHOOK_SECRET_FILE", None)
    return environ


def _kept_secret(file: Path) -> str:
    """The same at every start, readable by this user only."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def _simulated(users: int, seed: int | None) -> list[str]:
    return ["--users", str(users), *(["--seed", str(seed)] if seed is not None else [])]


def _free_port(wanted: int) -> int:
    """The wanted port, or a free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
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
