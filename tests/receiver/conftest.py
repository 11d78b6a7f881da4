"""The receiver in this process, on the test's Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from receiver.app import create_app
from seamkeeper import settings
from tests.conftest import SECRET


@pytest.fixture
def told(redis_url: str) -> settings.Settings:
    """Settings with one secret, and patience for a machine that does much else."""
    return settings.load({"SEAM_WEBHOOK_SECRET": SECRET, "REDIS_URL": redis_url, "SEAMKEEPER_REDIS_WAIT_SECONDS": "5"})


@pytest.fixture
def door(told: settings.Settings) -> Iterator[TestClient]:
    """A client of the receiver."""
    with TestClient(create_app(told), raise_server_exceptions=False) as client:
        yield client
