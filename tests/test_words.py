"""README and docs say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from seamkeeper.settings import SETTINGS

ROOT = Path(__file__).parent.parent


def test_the_settings_table_of_the_readme_is_the_table_of_the_code() -> None:
    """Every setting, in the same order, with the same words."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| (.*?) \|$", readme, flags=re.MULTILINE)

    assert [(name, meaning) for name, _, meaning in rows] == [(setting.name, setting.meaning) for setting in SETTINGS]


def test_no_file_names_a_machine_or_a_registry() -> None:
    """A stranger's machine has neither."""
    names = ("/wo" + "rk/", "/ro" + "ot/", "pypi" + ".org", "npmjs" + ".org")
    skipped = {".git", ".venv", ".venv-ci", "node_modules", "data", ".mypy_cache", ".ruff_cache", ".hypothesis"}
    files = [
        path for path in ROOT.rglob("*")
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts) and path.suffix not in (".png", ".pyc")
    ]  # fmt: skip

    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files for name in names if name in path.read_text(encoding="utf-8", errors="ignore")
    ]  # fmt: skip
    assert found == []
