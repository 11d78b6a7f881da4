"""What the workers are measured with."""

from __future__ import annotations

import time


def nothing() -> None:
    """The work is all the worker's own."""


def wait() -> None:
    """As a job that waits 20 ms for Seam."""
    time.sleep(0.02)
