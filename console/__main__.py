"""`python -m console`: the command line, as `seamkeeper` is."""

from __future__ import annotations

from console.cli import main

if __name__ == "__main__":
    main()
