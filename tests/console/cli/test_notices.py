"""`seamkeeper notices`: what was told, and a test that the workers send."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from seamkeeper import notices
from tests.listener import listening
from tests.stack import stack

from .conftest import Seamkeeper

NOBODY_LISTENS = "json://127.0.0.1:1/"


def test_list(seamkeeper: Seamkeeper, engine: Engine) -> None:
    """Newest first, by state, a page at a time."""
    with engine.begin() as connection:
        for number in range(1, 4):
            notices.write(connection, f"n{number}", title=f"title {number}", body="text")
        notices.settle(connection, "n2", "dead", reason="nobody takes it")

    everything = seamkeeper("notices", "list", "--json").json
    page = seamkeeper("notices", "list", "--json", "--before", str(everything[0]["notice_id"]), "--limit", "1").json
    dead = seamkeeper("notices", "list", "--state", "dead").out

    assert [each["name"] for each in everything] == ["n3", "n2", "n1"]
    assert set(everything[0]) == {"notice_id", "name", "title", "body", "state", "reason", "made_at", "sent_at"}
    assert [each["name"] for each in page] == ["n2"]
    assert "nobody takes it" in dead
    assert "title 1" not in dead


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_test_without_addresses(seamkeeper: Seamkeeper) -> None:
    """Exit 2: nobody would be told."""
    said = seamkeeper("notices", "test")

    assert said.code == 2
    assert "SEAMKEEPER_NOTIFY is not set" in said.err


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_test_without_workers(seamkeeper: Seamkeeper, redis: Redis) -> None:
    """Exit 1; it waits for one."""
    said = seamkeeper("notices", "test", "--wait", "0", SEAMKEEPER_NOTIFY=NOBODY_LISTENS)

    assert said.code == 1
    assert "No worker has taken it" in said.err
    assert redis.llen("rq:queue:events") == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_test_by_real_workers(seamkeeper: Seamkeeper, environment: dict[str, str], tmp_path: Path) -> None:
    """Exit 0 when everybody took it; else 1 with the address that did not."""
    with listening() as phone:
        told = {**environment, "SEAM_API_KEY": "seam_x", "SEAMKEEPER_NOTIFY": f"json://{phone.address}/"}
        told |= {"SEAMKEEPER_RETRY_DELAYS": "600"}  # the one that is tried again shall not be dead before we look
        with stack(told, tmp_path) as deployment:
            deployment.start_workers()
            sent = seamkeeper("notices", "test", "--wait", "60", **told)
            phone.status = 500
            failed = seamkeeper("notices", "test", "--wait", "60", **told)

    assert (sent.code, sent.err) == (0, "Sent.\n")
    assert phone.heard[0]["title"] == "Seamkeeper: a test"
    assert failed.code == 1
    assert "Not sent: not taken by address 1 (json) of SEAMKEEPER_NOTIFY; it is tried again." in failed.err
    assert [each["state"] for each in seamkeeper("notices", "list", "--json").json] == ["sending", "sent"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_workers_do_not_start_with_an_address_that_cannot_work(environment: dict[str, str], tmp_path: Path) -> None:
    """Exit 2 with a sentence that does not repeat it."""
    told = {**environment, "SEAM_API_KEY": "seam_x", "SEAMKEEPER_NOTIFY": "nonsense://secret"}
    with stack(told, tmp_path) as deployment:
        worker = deployment.start("worker", "workers", "worker")
        code = worker.wait(60)

    words = (tmp_path / "worker.log").read_text(encoding="utf-8")
    assert code == 2
    assert "SEAMKEEPER_NOTIFY: apprise cannot use address 1 (nonsense)" in words
    assert "secret" not in words
