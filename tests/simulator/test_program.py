"""`python -m simulator` starts, says where, and ends."""

from __future__ import annotations

import base64
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import svix.webhooks

from .conftest import Receiver

NO_SECRET = ["--deliver-to", "http://127.0.0.1:9/", "--secret", "mySecret"]
LINE = re.compile(r"simulator listening on (http://127\.0\.0\.1:\d+)\n")


@contextmanager
def _program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-W", "error", "-m", "simulator", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            found = LINE.fullmatch(line)
            assert found, line
            yield program, found[1]
        finally:
            program.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_on_a_signal(number: signal.Signals) -> None:
    """At once, with 0, and without another word, though a client is still connected."""
    with _program("--users", "5", "--api-key", "seam_test_other") as (program, url), httpx.Client() as client:
        users = client.get(f"{url}/acs/users/list", headers={"authorization": "Bearer seam_test_other"}).json()

        program.send_signal(number)
        said, complained = program.communicate(timeout=60)

    assert len(users["acs_users"]) == 5
    assert (program.returncode, said, complained) == (0, "", "")


def test_a_webhook_can_be_given_at_the_start(receiver: Receiver) -> None:
    """With its secret."""
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    with _program("--deliver-to", receiver.url, "--secret", secret, "--speed", "60", "--pending", "0") as (_, url):
        httpx.post(f"{url}/_simulator/events/emit", json={"event_type": "acs_user.created"})

        [delivery] = receiver.wait_for(1)

    assert svix.webhooks.Webhook(secret).verify(delivery.body, delivery.headers)


def test_life_is_told_on_stderr(receiver: Receiver) -> None:
    """With --alive --verbose; stdout stays with its one line."""
    with _program("--alive", "--verbose") as (program, _):
        assert program.stderr is not None
        line = program.stderr.readline()
        program.terminate()
        said = program.communicate(timeout=60)[0]

    assert line.strip()
    assert said == ""


@pytest.mark.parametrize(
    "arguments", [["--speed", "0"], ["--deliver-to", "http://127.0.0.1:9/"], NO_SECRET, ["--colour"]], ids=" ".join
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    """With 2, as programs do."""
    done = subprocess.run([sys.executable, "-m", "simulator", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_a_taken_port_is_told() -> None:
    """In one line, with 1."""
    with _program() as (_, url):
        port = url.rpartition(":")[2]

        command = [sys.executable, "-m", "simulator", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert done.stderr.count("\n") == 1
