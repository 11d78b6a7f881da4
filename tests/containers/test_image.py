"""The image by itself, as it runs without Compose."""

from __future__ import annotations

import subprocess

import pytest

from tests.containers.stack import docker, inspect

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

HARDENED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]  # noqa: S108


def test_it_is_labelled_and_not_roots(image: str) -> None:
    """Tools can read what it is, and it runs as 10001 unless somebody says otherwise."""
    config = inspect(image)["Config"]

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["seamkeeper"]
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "seamkeeper", "health"]
    assert {"title", "description", "licenses", "version", "revision"} <= {
        name.removeprefix("org.opencontainers.image.") for name in config["Labels"]
    }


def test_it_holds_no_tools_to_build_with(image: str) -> None:
    """No compiler, no pip of ours, no cache, no sources beside the installed package."""
    script = "command -v gcc cc make; ls -d /build /opt/seamkeeper/bin/pip ~/.cache; true"

    found = docker("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", script)

    assert found == ""


def test_it_says_what_is_missing(image: str) -> None:
    """Started with nothing, even hardened, it ends with code 2 and names the variable."""
    command = ["docker", "run", "--rm", "--init", *HARDENED, image]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "SEAM_WEBHOOK_SECRET is not set" in done.stderr


def test_a_volume_of_its_own_is_writable(image: str) -> None:
    """Without DATABASE_URL the tables are a SQLite file; a new volume at ./data belongs to the image's user."""
    volume = ["--mount", "type=volume,target=/var/lib/seamkeeper/data"]  # anonymous: --rm takes it away

    docker("run", "--rm", *HARDENED, *volume, image, "migrate")
