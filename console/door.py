"""A door (receiver, workers, console.web, simulator) as a process of its own, whatever folder it is started in."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def command(module: str, *arguments: str) -> list[str]:
    """What runs a door. `python -m workers` alone would take the folder `workers` of whoever starts it there; so the
    folder of the caller comes last, where reactions of the customer's own are still found."""
    return [sys.executable, "-P", "-m", "console.door", module, *arguments]


def main() -> None:
    """Becomes the module named first; the rest are its arguments."""
    sys.path.append(str(Path.cwd()))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
