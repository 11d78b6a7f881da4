"""What the tests against the peers share: the fake and the signer once, a recorder and a deployment for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peer import peers
from tests.peer.peers import Fake, Signer
from tests.peer.recorder import Recorder, recorder
from tests.stack import Stack, stack


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    """Seam's fake; its users are those of all tests so far."""
    with peers.fake_seam(tmp_path_factory.mktemp("fake") / "fake.log") as found:
        yield found


@pytest.fixture(scope="session")
def signer() -> Iterator[Signer]:
    """Svix's own JavaScript."""
    with peers.svix_signer() as found:
        yield found


@pytest.fixture
def calls(fake: Fake) -> Iterator[Recorder]:
    """What this test's deployment asked the fake."""
    with recorder(fake.url) as found:
        yield found


@pytest.fixture
def deployment(environment: dict[str, str], calls: Recorder, tmp_path: Path) -> Iterator[Stack]:
    """Receiver, workers and scheduler that take the fake for Seam."""
    seam = {"SEAM_API_KEY": peers.API_KEY, "SEAM_ENDPOINT": calls.url, "SEAMKEEPER_REREAD_DELAYS": "1,1,2,5,10"}
    with stack({**environment, **seam}, tmp_path) as found:
        found.start_workers()
        found.start_receiver()
        yield found
