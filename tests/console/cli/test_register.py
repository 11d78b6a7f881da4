"""`seamkeeper register` as a process, against the simulator: what is at Seam afterwards, and where the secret is."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seamkeeper import secret_file
from simulator.serve import Running, running
from simulator.world import World
from tests.conftest import SECRET
from tests.stack import ROOT

from .conftest import NOBODY, Said

URL = "https://hooks.example.com/webhooks/seam"
OTHER = "whsec_" + base64.b64encode(b"the secret of another webhook ...").decode()

Register = Callable[..., Said]


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own, with somebody else's webhook."""
    with running(users=0, seed=5) as simulator:
        simulator.world.add_webhook("https://elsewhere.example.com/webhooks/seam")
        yield simulator


@pytest.fixture
def register(sim: Running, tmp_path: Path) -> Register:
    """Calls it with an API key and nothing else: no Redis, no database, no worker."""

    def run(*arguments: str, **environ: str) -> Said:
        told = {"PATH": os.environ["PATH"], "SEAM_API_KEY": sim.api_key, "SEAM_ENDPOINT": sim.url, "REDIS_URL": NOBODY}
        told |= {"DATABASE_URL": f"sqlite:///{tmp_path / 'no.db'}", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "console", "register", *arguments], env={**told, **environ}, capture_output=True,
            text=True, cwd=tmp_path, check=False, timeout=60,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def here(world: World) -> list[Any]:
    """The webhooks with our address, whichever way it is spelt."""
    return [each for each in world.webhooks.values() if "hooks.example.com" in each.url.lower()]


def test_a_webhook_is_made_and_its_secret_kept(register: Register, sim: Running, tmp_path: Path) -> None:
    """In a file that only its owner can read; all event types; nothing of the secret on the terminal."""
    file = tmp_path / "secret"

    said = register("--url", URL, "--secret-file", str(file))

    (made,) = here(sim.world)
    assert (said.code, said.out) == (0, ""), said.err
    assert (made.url, made.event_types) == (URL, ["*"])
    assert (secret_file.read(file), file.stat().st_mode & 0o777) == ((made.secret,), 0o600)
    assert made.secret.removeprefix("whsec_") not in said.out + said.err
    assert f"SEAMKEEPER_WEBHOOK_URL={URL}" in said.err
    assert not (tmp_path / "no.db").exists()


def test_a_file_of_variables(register: Register, sim: Running, tmp_path: Path) -> None:
    """The new secret stands before the old one, the other lines stay."""
    file = tmp_path / ".env"
    file.write_text(f"SEAM_API_KEY=x\nSEAM_WEBHOOK_SECRET={SECRET}\n", encoding="utf-8")

    said = register("--url", URL, "--write-env", str(file))

    assert said.code == 0, said.err
    secret = here(sim.world)[0].secret
    assert file.read_text(encoding="utf-8") == f"SEAM_API_KEY=x\nSEAM_WEBHOOK_SECRET={secret},{SECRET}\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_duplicates_are_removed_only_when_asked_for(register: Register, sim: Running, tmp_path: Path) -> None:
    """The one whose secret we know stays; nobody's place to answer is exit 2 before anything is changed."""
    file = tmp_path / "secret"
    secret_file.put(file, OTHER)
    first, second = (sim.world.add_webhook(URL, secret=secret) for secret in (None, OTHER))
    arguments = ("--url", URL, "--secret-file", str(file))

    said, unasked = register(*arguments), register(*arguments, "--remove-duplicates")
    assert (said.code, unasked.code, len(here(sim.world))) == (0, 2, 2)
    assert first.webhook_id in said.err
    assert "--yes" in unasked.err
    removed = register(*arguments, "--remove-duplicates", "--yes", "--json")

    assert removed.json["removed"] == [first.webhook_id]
    assert here(sim.world) == [second]


def test_a_wrong_key_is_a_sentence(register: Register) -> None:
    """Exit 1, and nothing on stdout."""
    said = register("--url", URL, "--print-secret", "--json", SEAM_API_KEY="seam_test_wrong")

    assert (said.code, said.out) == (1, "")
    assert "does not accept the API key" in said.err


def test_two_files_are_one_too_many(register: Register, tmp_path: Path) -> None:
    """Exit 2."""
    assert register("--url", URL, "--secret-file", "a", "--write-env", "b").code == 2
