"""`seam_refuses_us`: Seam does not accept our key. One finding about the whole deployment, whoever meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workers import findings
from workers.seam_errors import RefusesUs
from workers.tools import Tools

CODE = "seam_refuses_us"


@contextmanager
def watched(tools: Tools) -> Iterator[None]:
    """Around calls to Seam that come by themselves: a 401 opens the finding, an end without any error closes it."""
    try:
        yield
    except RefusesUs as error:
        findings.of_the_house(tools, CODE, str(error))
        raise
    findings.of_the_house(tools, CODE, None)
