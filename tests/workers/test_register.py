"""`python -m workers register` in this process, against the simulator: what is at Seam afterwards, and what is said."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seamkeeper import database, logs, registration, secret_file
from simulator.serve import Running, running
from simulator.world import World
from tests.conftest import SECRET
from tests.said import Said
from workers import register as door
from workers.reactions import REACTIONS
from workers.webhooks import wanted_types

URL = "https://hooks.example.com/webhooks/seam"
OURS = sorted(wanted_types(REACTIONS))


Register = Callable[..., Said]


@pytest.fixture
def sim() -> Iterator[Running]:
    """A Seam of this test's own, with somebody else's webhook."""
    with running(users=0, seed=5) as simulator:
        simulator.world.add_webhook("https://elsewhere.example.com/webhooks/seam")
        yield simulator


@pytest.fixture
def register(
    sim: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Register:
    """Calls it with an API key and nothing else: no Redis, no database, no worker, nobody at the keyboard."""

    def run(*arguments: str, **environ: str) -> Said:
        told = {"SEAM_API_KEY": sim.api_key, "SEAM_ENDPOINT": sim.url, "REDIS_URL": "redis://127.0.0.1:1/0"}
        told |= {"DATABASE_URL": f"sqlite:///{tmp_path / 'no.db'}"}
        with monkeypatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("SEAM", "REDIS", "DATABASE", "RQ_")):
                    patch.delenv(name)
            for name, value in {**told, **environ}.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.StringIO())
            patch.syspath_prepend(tmp_path)
            logs.configure(level=50)
            capfd.readouterr()
            code = door.main(arguments)
        said = capfd.readouterr()
        return Said(code, said.out, said.err)

    return run


def here(world: World) -> list[Any]:
    """The webhooks with our address, whichever way it is spelt."""
    return [each for each in world.webhooks.values() if "hooks.example.com" in each.url.lower()]


def test_twice_is_once(register: Register, sim: Running, tmp_path: Path) -> None:
    """The second time it is adopted, and nothing changes."""
    arguments = ("--url", URL, "--secret-file", str(tmp_path / "secret"), "--json")

    first, second = register(*arguments), register(*arguments)

    assert (first.json["outcome"], first.json["kept"]) == ("created", "written")
    assert (second.json["outcome"], second.json["kept"]) == ("adopted", "known")
    assert first.json["webhook_id"] == second.json["webhook_id"]
    assert len(here(sim.world)) == 1


def test_the_file_of_the_settings_is_the_default_and_need_not_be_there(
    register: Register, sim: Running, tmp_path: Path
) -> None:
    """What the receiver reads is what is written."""
    file = tmp_path / "secret"

    said = register(SEAM_WEBHOOK_SECRET_FILE=str(file), SEAMKEEPER_WEBHOOK_URL=URL)

    assert said.code == 0, said.err
    assert secret_file.read(file) == (here(sim.world)[0].secret,)


def test_the_secret_is_printed_only_when_asked_for(register: Register, sim: Running) -> None:
    """Alone on stdout; in JSON under a name of its own."""
    said = register("--url", URL, "--print-secret")
    again = register("--url", URL, "--print-secret", "--json")

    secret = here(sim.world)[0].secret
    assert said.out == f"{secret}\n"
    assert secret not in said.err
    assert again.json["signing_secret"] == secret


def test_without_a_place_for_the_secret_nothing_is_made(register: Register, sim: Running, tmp_path: Path) -> None:
    """Seam may show it only once."""
    nowhere, full = register("--url", URL), register("--url", URL, "--secret-file", str(tmp_path / "no" / "secret"))

    assert (nowhere.code, full.code) == (2, 2)
    assert "--secret-file" in nowhere.err
    assert "cannot take the secret" in full.err
    assert here(sim.world) == []


def test_missing_types_are_added_and_foreign_ones_kept(register: Register, sim: Running) -> None:
    """Adopting needs no place for a secret."""
    webhook = sim.world.add_webhook("https://HOOKS.example.com/webhooks/seam", ["acs_user.created", "lock.locked"])

    said = register("--url", URL, "--events", "device.connected", "--json")

    assert said.code == 0, said.err
    assert sorted(webhook.event_types) == sorted([*OURS, "lock.locked", "device.connected"])
    assert (said.json["outcome"], said.json["kept"]) == ("completed", "not_asked_for")
    assert "Seam has it as https://HOOKS.example.com" in said.err


def test_fewer_types_of_a_new_webhook(register: Register, sim: Running, tmp_path: Path) -> None:
    """`ours` are those that somebody reacts to, a customer's own reactions included."""
    (tmp_path / "house_rules.py").write_text(
        "def on_lock(event, tools): ...\nREACTIONS = {'lock.locked': (on_lock,)}\n", encoding="utf-8"
    )

    said = register("--url", URL, "--events", "ours", "--print-secret", SEAMKEEPER_REACTIONS="house_rules")

    assert said.code == 0, said.err
    assert here(sim.world)[0].event_types == sorted([*OURS, "lock.locked"])


def test_a_dry_run_changes_nothing(register: Register, sim: Running, tmp_path: Path) -> None:
    """And says what would be done."""
    file = tmp_path / "secret"
    made = register("--url", URL, "--secret-file", str(file), "--dry-run", "--json")
    webhook = sim.world.add_webhook(URL, ["acs_user.created"])
    added = register("--url", URL, "--secret-file", str(file), "--dry-run", "--json")

    assert (made.json["outcome"], made.json["dry_run"], made.json["webhook_id"]) == ("created", True, None)
    assert (added.json["outcome"], webhook.event_types) == ("completed", ["acs_user.created"])
    assert not file.exists()


def test_a_secret_that_seam_does_not_show_again(register: Register, sim: Running, tmp_path: Path) -> None:
    """Said with what to do; a failure only where nobody has it."""
    sim.world.settings.has_secrets = False
    sim.world.add_webhook(URL, secret=SECRET)
    file = tmp_path / "secret"

    lost = register("--url", URL, "--secret-file", str(file))
    secret_file.put(file, SECRET)
    known = register("--url", URL, "--secret-file", str(file))

    assert (lost.code, known.code) == (1, 0)
    assert "copy it from Seam Console" in lost.err


def test_a_broken_file_stays_as_it_is(register: Register, sim: Running, tmp_path: Path) -> None:
    """Nothing is made at Seam whose secret would then be lost."""
    file = tmp_path / "secret"
    file.write_text("whsec_cut", encoding="utf-8")

    said = register("--url", URL, "--secret-file", str(file))

    assert (said.code, here(sim.world), file.read_text(encoding="utf-8")) == (2, [], "whsec_cut")
    assert "whsec_cut" not in said.err


@pytest.mark.parametrize(
    ("url", "endpoint", "word"),
    [
        ("http://hooks.example.com/webhooks/seam", "https://connect.getseam.com", "https://"),
        ("hooks.example.com", "", "no address"),
        ("https://hooks.example.com:x/webhooks/seam", "", "no address"),
        ("", "", "--url"),
    ],
    ids=["not-encrypted", "no-scheme", "no-port", "none"],
)
def test_an_address_that_cannot_work(register: Register, sim: Running, url: str, endpoint: str, word: str) -> None:
    """Exit 2 before Seam is asked; http is for simulators only."""
    said = register("--url", url, "--print-secret", **({"SEAM_ENDPOINT": endpoint} if endpoint else {}))

    assert said.code == 2
    assert word in said.err
    assert len(sim.world.webhooks) == 1


def test_another_path_is_said(register: Register, sim: Running) -> None:
    """A proxy may rewrite it."""
    said = register("--url", "https://hooks.example.com/in", "--print-secret")

    assert (said.code, len(here(sim.world))) == (0, 1)
    assert "/webhooks/seam" in said.err


@pytest.mark.parametrize(
    ("environ", "code", "word"),
    [
        ({"SEAM_API_KEY": "seam_test_wrong"}, 1, "does not accept the API key"),
        ({"SEAM_ENDPOINT": "http://127.0.0.1:1"}, 5, "does not answer"),
        ({"SEAM_API_KEY": ""}, 2, "SEAM_API_KEY"),
        ({"SEAMKEEPER_REGISTER": "maybe"}, 2, "SEAMKEEPER_REGISTER"),
    ],
    ids=["wrong-key", "nobody-there", "no-key", "wrong-setting"],
)
def test_what_went_wrong_is_a_sentence(register: Register, environ: dict[str, str], code: int, word: str) -> None:
    """With the exit codes of the command line, and nothing on stdout."""
    said = register("--url", URL, "--print-secret", "--json", **environ)

    assert (said.code, said.out) == (code, "")
    assert word in said.err
    assert "Traceback" not in said.err


def test_a_lost_answer_is_adopted_the_next_time(register: Register, sim: Running, tmp_path: Path) -> None:
    """The webhook was made, its secret is in nobody's hands; the next call takes it, and makes no second one."""
    sim.world.faults.add("cut", path="/webhooks/create", times=1)
    arguments = ("--url", URL, "--secret-file", str(tmp_path / "secret"))

    lost, found = register(*arguments), register(*arguments)

    assert (lost.code, found.code) == (1, 0), lost.err + found.err
    assert "run this again" in lost.err
    (webhook,) = here(sim.world)
    assert secret_file.read(tmp_path / "secret") == (webhook.secret,)


def test_the_database_remembers_it(register: Register, sim: Running, database_url: str) -> None:
    """For the hourly look."""
    said = register("--url", URL, "--print-secret", "--json", DATABASE_URL=database_url)

    engine = database.open_engine(database_url)
    with database.reading(engine) as connection:
        known = registration.read(connection)
    engine.dispose()
    assert said.json["remembered"]
    assert (known.url, known.webhook_id, known.event_types) == (URL, here(sim.world)[0].webhook_id, ("*",))
    assert json.loads(said.out)["webhook_id"] == known.webhook_id
