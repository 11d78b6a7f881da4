"""What docker-compose.yml says, read by Compose itself; nothing is started."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from seamkeeper.settings import SETTINGS
from tests.containers.stack import ROOT, clean_environment

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("engine_is_there")]

ENOUGH = {"SEAM_WEBHOOK_SECRET": "whsec_x", "SEAM_API_KEY": "seam_x", "SEAMKEEPER_CONSOLE_LOGINS": "ops:operator:p"}


def _config(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "compose", "--env-file", "/dev/null", "--profile", "demo", "config", *arguments]
    environment = {**clean_environment(), **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _services(variables: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(_config(variables, "--format", "json").stdout)["services"])


def test_three_variables_are_enough() -> None:
    """Compose takes the file when the webhook's secret, the API key and a login are given, and warns of nothing."""
    done = _config(ENOUGH, "-q")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ENOUGH)
def test_a_missing_secret_is_named(name: str) -> None:
    """Nothing starts, and the sentence says which variable to put where."""
    done = _config({key: value for key, value in ENOUGH.items() if key != name}, "-q")

    assert done.returncode != 0
    assert f"set {name} in .env" in done.stderr


def test_every_setting_reaches_a_service() -> None:
    """What README's table offers can be given in .env; the folder of `seamkeeper dev` means nothing here."""
    given = {setting.name: "1" for setting in SETTINGS}

    passed = {name for service in _services(given).values() for name, value in service.get("environment", {}).items()}

    assert {setting.name for setting in SETTINGS} - passed == {"SEAMKEEPER_DATA_DIR"}


def test_every_service_is_watched_and_comes_back() -> None:
    """A health check and a restart policy each; `migrate` ends, so it is tried again a few times at most."""
    services = _services(ENOUGH)
    migrate = services.pop("migrate")

    assert migrate["restart"] == "on-failure:5"
    assert all(service["restart"] == "unless-stopped" for service in services.values())
    assert all(service["healthcheck"].get("test") for service in services.values())
