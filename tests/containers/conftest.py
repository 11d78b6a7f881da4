"""One stack for all tests of this folder: built, started with three workers, and always taken away with its volumes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.containers.stack import IMAGE, Stack, docker, missing_engine

WORKERS = 3


@pytest.fixture(scope="session")
def engine_is_there() -> None:
    """A missing engine is a failure, not a skip: who asks for these tests wants to know."""
    if sentence := missing_engine():
        pytest.fail(sentence, pytrace=False)


@pytest.fixture(scope="session")
def built(engine_is_there: None) -> Stack:
    """The stack with its image built, not started. Its Seam lives in memory and begins with the same three people."""
    stack = Stack(
        f"seamkeeper-test-{os.urandom(3).hex()}", SIMULATOR_OPTIONS="--users 3", SEAMKEEPER_REREAD_DELAYS="1,2,5,15"
    )
    started = time.monotonic()
    stack.compose("build")
    size = int(docker("image", "inspect", "-f", "{{.Size}}", IMAGE)) / 1e6
    print(f"\nbuilt in {time.monotonic() - started:.1f} s, {size:.0f} MB")
    return stack


@pytest.fixture(scope="session")
def image(built: Stack) -> str:
    """The name of the image."""
    return IMAGE


@pytest.fixture(scope="session")
def stack(built: Stack) -> Iterator[Stack]:
    """The running stack."""
    try:
        started = time.monotonic()
        built.up(workers=WORKERS)
        print(f"\nall services well after {time.monotonic() - started:.1f} s")
        yield built
    finally:
        built.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
