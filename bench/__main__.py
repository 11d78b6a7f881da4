"""`make bench`: prints the tables that README.md and docs/proof.md quote."""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime

from bench import intake, resync, worker


def main() -> None:
    """Options make it smaller or larger; the ratios are what counts."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["intake", "worker"], help="intake, worker, resync; the first two by default"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    when = f"{datetime.now(UTC):%Y-%m-%d}, {machine}"
    if "intake" in options.what:
        print(f"Intake, {when}: {options.connections} connections, 600-byte bodies, append-only file everysec, medians "
              f"of {options.rounds} rounds taken in turns\n")  # fmt: skip
        received = intake.measure(rounds=options.rounds, seconds=options.seconds, connections=options.connections)
        print(intake.table(received), end="\n\n")
    if "worker" in options.what:
        print(f"Workers, {when}: append-only file everysec, medians of {options.rounds} rounds taken in turns\n")
        print(worker.table(worker.measure(rounds=options.rounds, seconds=options.seconds)))
    if "resync" in options.what:
        print(f"Resync, {when}: everybody is in the mirror already, 50 ms a page, SQLite, medians of {options.rounds} "
              f"rounds taken in turns\n")  # fmt: skip
        print(resync.table(resync.measure(sizes=(10_000, 100_000), rounds=options.rounds)))


if __name__ == "__main__":
    main()
