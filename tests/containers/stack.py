"""The compose stack with a simulated Seam, under a project name of its own: started, asked, taken away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import SECRET
from tests.stack import free_port

ROOT = Path(__file__).parents[2]
IMAGE = "seamkeeper:test"
LOGIN = ("demo", "a-long-password")  # of an admin
OURS = ("SEAM", "REDIS_", "RQ_", "DATABASE_", "POSTGRES_", "COMPOSE_", "SIMULATOR_", "PYTHON_IMAGE")


class Stack:
    """`docker compose` for one project. Nothing of the caller's own settings or `.env` gets in."""

    def __init__(self, project: str, **variables: str) -> None:
        self.webhook = f"http://127.0.0.1:{(receiver := free_port())}/webhooks/seam"
        self.console = f"http://127.0.0.1:{(console := free_port())}"
        self.simulator = f"http://127.0.0.1:{(simulator := free_port())}"
        self._command = ["docker", "compose", "-p", project, "--env-file", "deploy/demo.env", "--profile", "demo"]
        self._environment = {
            **clean_environment(),
            "SEAMKEEPER_IMAGE": IMAGE,
            "SEAM_WEBHOOK_SECRET": SECRET,
            "SEAMKEEPER_CONSOLE_LOGINS": ":admin:".join(LOGIN),
            "SEAMKEEPER_PORT": str(receiver),
            "SEAMKEEPER_CONSOLE_PORT": str(console),
            "SEAMKEEPER_SIMULATOR_PORT": str(simulator),
            **variables,
        }

    def compose(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
        """What `docker compose …` printed; fails the test with all of it when the exit code is not one of `ok`."""
        command = [*self._command, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode in ok, f"docker compose {' '.join(arguments)}: {done.returncode}\n{done.stderr[-4000:]}"
        return done.stdout

    def up(self, *, workers: int) -> None:
        """All services well, or a failure that shows what they said."""
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "180", "--scale", f"worker={workers}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('ps', '-a')}\n{self.compose('logs', '--tail=15')}") from None

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers."""
        return self.compose("ps", "-a", "-q", service).split()

    def seamkeeper(self, *arguments: str) -> str:
        """What the command line prints, run in the console's container."""
        return self.compose("exec", "-T", "console", "seamkeeper", *arguments)

    def seamkeeper_json(self, *arguments: str) -> Any:
        """The same as a value; None while the command finds nothing (exit code 4)."""
        printed = self.compose("exec", "-T", "console", "seamkeeper", *arguments, "--json", ok=(0, 4))
        return json.loads(printed) if printed.strip() else None

    def steer(self, path: str, **values: Any) -> dict[str, Any]:
        """One order to the simulator."""
        answer = httpx.post(f"{self.simulator}/_simulator{path}", json=values)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def at_seam(self, acs_user_id: str) -> dict[str, Any]:
        """The user as the simulated Seam has it."""
        users = httpx.get(f"{self.simulator}/_simulator/users").json()["users"]
        return next(user for user in users if user["acs_user_id"] == acs_user_id)


def inspect(container: str) -> dict[str, Any]:
    """All that the engine knows of a container."""
    return dict(json.loads(docker("inspect", container))[0])


def docker(*arguments: str) -> str:
    """What `docker …` printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def missing_engine() -> str:
    """A sentence that says what is missing, or nothing."""
    if shutil.which("docker") is None:
        return "There is no `docker` command: install Docker Engine 25 or newer with Compose 2.24 or newer."
    for arguments in (["info"], ["compose", "version"]):
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"`docker {' '.join(arguments)}` fails, is the Docker engine running? {done.stderr.strip()}"
    return ""


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that the compose file would take from it."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def wait_for(what: str, is_so: Callable[[], Any], *, seconds: float = 60) -> Any:
    """The first true answer; fails with the last one."""
    deadline = time.monotonic() + seconds
    while not (answer := is_so()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)
    return answer
