"""One stack for all tests of this folder: built, started with three workers, and always taken away with its volumes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.containers.stack import Stack, docker, missing_engine

WORKERS = 3


@pytest.fixture(scope="session")
def engine_is_there() -> None:
    """A missing engine is a failure, not a skip: who asks for these tests wants to know."""
    if sentence := missing_engine():
        pytest.fail(sentence, pytrace=False)


@pytest.fixture(scope="session")
def stack(engine_is_there: None) -> Iterator[Stack]:
    """The running stack. Its Seam lives in memory and begins with three people, always the same."""
    stack = Stack(
        f"seamkeeper-test-{os.urandom(3).hex()}", SIMULATOR_OPTIONS="--users 3", SEAMKEEPER_REREAD_DELAYS="1,2,5,15"
    )
    try:
        started = time.monotonic()
        stack.compose("build")
        built = time.monotonic()
        stack.up(workers=WORKERS)
        size = int(docker("image", "inspect", "-f", "{{.Size}}", "seamkeeper:test")) / 1e6
        print(f"\nbuilt in {built - started:.1f} s, {size:.0f} MB; well after {time.monotonic() - built:.1f} s")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
