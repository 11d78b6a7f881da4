"""The receiver as a process: what it says before it starts, bodies that never end, several processes, the end."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from receiver.wire import Http
from tests.conftest import SECRET
from tests.signing import body_of, event, signed
from tests.stack import ROOT, Stack, eventually, stack


@pytest.fixture
def deployment(redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """Only what the receiver needs."""
    told = {"PATH": "/usr/bin", "SEAM_WEBHOOK_SECRET": SECRET, "REDIS_URL": redis_url, "SEAMKEEPER_LOG_FORMAT": "json"}
    with stack({**told, "SEAMKEEPER_REDIS_WAIT_SECONDS": "15"}, tmp_path) as found:
        yield found


def test_all_mistakes_are_told_at_once_and_the_exit_code_is_2() -> None:
    """Before anything listens; the secret itself is not shown."""
    told = {"SEAM_WEBHOOK_SECRET": "whsec_tooshort", "REDIS_URL": "nonsense", "SEAMKEEPER_REPAIR": "maybe"}

    done = subprocess.run(
        [sys.executable, "-m", "receiver", "--port", "0"], env=told, capture_output=True, text=True, cwd=ROOT,
        check=False,
    )  # fmt: skip

    assert done.returncode == 2
    assert all(name in done.stderr for name in told)
    assert "tooshort" not in done.stderr


def test_a_body_without_end_is_refused_without_being_read(deployment: Stack) -> None:
    """413 comes while most of the body is still unsent, and the connection is closed."""
    deployment.start_receiver()
    sent = 0

    with socket.create_connection(("127.0.0.1", deployment.port), timeout=60) as connection:
        head = b"POST /webhooks/seam HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head)
        with contextlib.suppress(OSError):  # it is closed while we write; what it said before waits to be read
            while sent < 64 * 2**20 and not select.select([connection], [], [], 0.01)[0]:
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        answer = connection.recv(100)

    assert answer.startswith(b"HTTP/1.1 413")
    assert sent < 16 * 2**20


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n", b"x-a: " + b"b" * 1000 + b"\r\n"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nx-a: ", b"b" * 1000),
        (b"GET /", b"b" * 1000),
        (b"POST /webhooks/seam HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x: " + b"b" * 1000 + b"\r\n"),
    ],
    ids=["many-fields", "one-long-field", "long-address", "trailers"],
)
def test_a_head_without_end_is_cut(deployment: Stack, begin: bytes, piece: bytes) -> None:
    """Nobody's memory is filled by who has proven nothing; the next request is served."""
    deployment.start_receiver()
    sent = 0

    with socket.create_connection(("127.0.0.1", deployment.port), timeout=60) as connection:
        connection.sendall(begin)
        with contextlib.suppress(OSError):
            while sent < 64 * 2**20:
                connection.sendall(piece)
                sent += len(piece)

    assert sent < 16 * 2**20
    assert deployment.post(event()) == 204


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /webhooks/seam HTTP/1.1\r\nhost", b"POST /webhooks/seam HTTP/1.1\r\ncontent-length: 9\r\n\r\nhalf"],
    ids=["silence", "half-a-head", "half-a-body"],
)
def test_a_request_that_never_ends_is_not_held(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Descriptors are few: who says nothing, or not everything, is cut off; who is whole is answered."""
    monkeypatch.setattr("receiver.wire._LONGEST", 0.3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async def scenario() -> tuple[bytes, bytes]:
        server = uvicorn.Server(uvicorn.Config(app, http=Http, port=0, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        cut = await _hear(port, begun)
        monkeypatch.setattr("receiver.wire._LONGEST", 60)  # who is whole is not to be quicker than this machine
        answer = await _hear(port, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
        server.should_exit = True
        await serving
        return cut, answer

    cut, answer = asyncio.run(scenario())

    assert not cut.startswith(b"HTTP/1.1 2")
    assert answer.startswith(b"HTTP/1.1 204")


async def _hear(port: int, said: bytes) -> bytes:
    """All that comes back until the other side ends it, within half a minute."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with asyncio.timeout(30):
        heard = await reader.read()
    writer.close()
    return heard


def test_a_length_that_lies_is_no_error_of_ours(deployment: Stack) -> None:
    """A sender that promises more than it sends and goes: the next request is served."""
    deployment.start_receiver()

    with socket.create_connection(("127.0.0.1", deployment.port), timeout=60) as connection:
        connection.sendall(b"POST /webhooks/seam HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\nshort")

    assert deployment.post(event()) == 204


@pytest.mark.parametrize("processes", ["1", "3"])
def test_sigterm_resets_no_request_that_was_begun(deployment: Stack, processes: str) -> None:
    """Under traffic: what was sent is answered, then the process ends with 0 within its deadline."""
    deployment.start_receiver("--workers", processes)
    answers: list[int] = []
    is_over = threading.Event()

    def deliver() -> None:
        while not is_over.is_set():
            answers.append(_post_whole(deployment.port))

    senders = [threading.Thread(target=deliver) for _ in range(4)]
    for sender in senders:
        sender.start()
    eventually(lambda: answers.count(204) > 50)
    process = deployment.running.pop("receiver")
    process.terminate()
    code = process.wait(60)
    is_over.set()
    for sender in senders:
        sender.join()

    assert code == 0
    assert set(answers) <= {204, 0}, answers  # 0: refused before anything was sent


def _post_whole(port: int) -> int:
    """One request over its own connection; 0 when nobody took the connection, -1 when it was cut off."""
    body = body_of(event())
    head = "".join(f"{name}: {value}\r\n" for name, value in signed(body).items())
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    except OSError:
        time.sleep(0.01)
        return 0
    with connection:
        try:
            text = f"POST /webhooks/seam HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(body)}\r\n\r\n"
            connection.sendall(text.encode() + body)
            answer = connection.recv(100)
        except ConnectionResetError:
            return 0  # taken by the kernel, never by the process: nothing was begun
    return int(answer[9:12]) if answer else 0
