"""The example package of docs/, installed as a customer would, and run by real processes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator.serve import running
from tests.listener import listening
from tests.signing import event
from tests.stack import ROOT, Stack, eventually, stack

EXAMPLE = ROOT / "docs" / "examples" / "own_reactions"
GRUMPY = """
from workers.interface import Permanent

def never(event, tools):
    raise Permanent("we do not talk about doors")

REACTIONS = {"lock.unlocked": (never,)}
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the package in it, built and installed by pip without any registry."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--target", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options, str(EXAMPLE)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_example_package(environment: dict[str, str], installed: Path, tmp_path: Path) -> None:
    """An event becomes a line in the CSV file and a change a request to the caretaker, while another function of the
    same event is dead; what Seamkeeper does itself is done."""
    book = tmp_path / "doors.csv"
    (tmp_path / "grumpy.py").write_text(GRUMPY, encoding="utf-8")
    with running(users=1, seed=5) as sim, listening() as caretaker:
        told = {
            **environment, "SEAM_API_KEY": sim.api_key, "SEAM_ENDPOINT": sim.url,
            "PYTHONPATH": os.pathsep.join([str(installed), str(tmp_path)]), "SEAMKEEPER_REACTIONS": "grumpy",
            "DOOR_BOOK": str(book), "CARETAKER_URL": f"http://{caretaker.address}/errors",
        }  # fmt: skip
        broken = sim.world.add_user(full_name="Jack Doe")
        sim.world.raise_error(broken, "failed_to_create_on_acs_system")
        unlocked = event("lock.unlocked", device_id="front-door")
        with stack(told, tmp_path) as deployment:
            deployment.start_receiver()
            deployment.start_workers()
            deployment.post(unlocked)
            deployment.post(event("acs_user.created", acs_user_id=broken, acs_system_id=sim.world.acs_system_id))

            shown = eventually(lambda: _all_ended(deployment, unlocked["event_id"]), what="both functions")
            eventually(lambda: caretaker.heard, what="the caretaker")
            user = deployment.shown("users", broken)

    assert shown["status"] == "done"
    ends = {each["job"]: (each["outcome"], each["reason"]) for each in shown["attempts"]}
    assert ends == {
        "handle_event": ("ok", None),
        "house_rules.door_book.write_into_the_door_book": ("ok", None),
        "grumpy.never": ("dead", "we do not talk about doors"),
    }
    with book.open(encoding="utf-8", newline="") as lines:
        assert [row[1:] for row in csv.reader(lines)] == [["front-door", unlocked["event_id"]]]
    assert caretaker.heard == [
        {"acs_user_id": broken, "acs_system_id": user["acs_system_id"], "code": "failed_to_create_on_acs_system"}
    ]


def _all_ended(deployment: Stack, event_id: str) -> dict[str, Any] | None:
    shown = deployment.shown("events", event_id)
    ended = [each for each in shown.get("attempts", []) if each["ended_at"]]
    return shown if len(ended) == 3 else None
