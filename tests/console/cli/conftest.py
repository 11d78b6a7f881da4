"""The command line in this process, on real stores."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from console import cli
from tests.said import Said

NOBODY = "redis://127.0.0.1:1/0"  # a Redis that refuses


Seamkeeper = Callable[..., Said]


@pytest.fixture
def seamkeeper(environment: dict[str, str], seamkeeper_anywhere: Seamkeeper) -> Seamkeeper:
    """Runs the command line on the stores of this test; keywords are variables beside theirs."""
    return lambda *arguments, **environ: seamkeeper_anywhere(*arguments, **{**environment, **environ})


@pytest.fixture
def seamkeeper_anywhere(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Seamkeeper:
    """Runs it in this process with these variables and no other."""

    def run(*arguments: str, **environ: str) -> Said:
        for name in list(os.environ):
            if name.startswith(("SEAM", "REDIS", "DATABASE", "RQ_")):
                monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended, monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["seamkeeper", *arguments])
            cli.main()
        said = capfd.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run
