"""The house: arrows point only into `seamkeeper/`, and importing a module starts nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOORS = ("receiver", "workers", "console")


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


def test_arrows_point_only_into_seamkeeper() -> None:
    """No door imports another door, nothing imports the simulator, and seamkeeper imports none of them."""
    forbidden = {door: {*DOORS, "simulator"} - {door} for door in DOORS}
    forbidden |= {"seamkeeper": {*DOORS, "simulator"}, "simulator": {*DOORS, "seamkeeper"}}

    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for room, others in forbidden.items()
        for path in (ROOT / room).rglob("*.py")
        for name in _imports(path) & others
    ]

    assert wrong == []


def test_the_receivers_process_stays_light() -> None:
    """It imports no Seam SDK, no database driver, no reactions: strangers reach this process."""
    program = "import sys, receiver.app, receiver.__main__; print(*sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)

    heavy = {"seam", "sqlalchemy", "psycopg", "sqlite3", "alembic", "workers", "console", "rq", "jinja2"}
    assert heavy & set(loaded.stdout.split()) == set()


def test_the_schedulers_process_stays_light() -> None:
    """It calls nobody: the Seam SDK would cost it more than a second at its start, and 50 MB."""
    program = "import sys, workers.schedule, workers.__main__; print(*sorted(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)

    assert {"seam", "svix", "alembic", "console", "receiver"} & set(loaded.stdout.split()) == set()
