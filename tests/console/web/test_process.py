"""`python -m console.web` as a process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "console.web"]


def test_it_says_where_it_listens_and_ends_when_asked(environment: dict[str, str]) -> None:
    """One line, then pages; SIGTERM ends it at once and in order."""
    with subprocess.Popen([*COMMAND, "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("console listening on http://127.0.0.1:")
        with urllib.request.urlopen(f"{line.split()[-1]}/queues", timeout=60) as answer:  # noqa: S310
            assert answer.status == 200
            assert "server" not in answer.headers
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=60) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "console.example"])  # noqa: S104
def test_it_listens_on_this_machine_only(host: str) -> None:
    """Without a login another address is refused, with the way to have one."""
    done = subprocess.run([*COMMAND, "--host", host, "--port", "0"], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "There is no login" in done.stderr
    assert "SEAMKEEPER_CONSOLE_LOGINS" in done.stderr


def test_wrong_settings_are_all_named(environment: dict[str, str]) -> None:
    """Exit 2 and one line per mistake."""
    wrong = environment | {"REDIS_URL": "http://x", "SEAMKEEPER_REPAIR": "maybe"}

    done = subprocess.run([*COMMAND, "--port", "0"], env=wrong, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "REDIS_URL" in done.stderr
    assert "SEAMKEEPER_REPAIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said_in_words(environment: dict[str, str]) -> None:
    """Exit 1, no traceback."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
