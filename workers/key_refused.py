"""`seam_refuses_us`: Seam does not accept our key. One finding about the whole deployment, whoever meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seamkeeper import database, issues
from workers import notices
from workers.seam_errors import RefusesUs
from workers.tools import Tools

CODE = "seam_refuses_us"


@contextmanager
def watched(tools: Tools) -> Iterator[None]:
    """Around calls to Seam that come by themselves: a 401 opens the finding, an end without any error closes it."""
    try:
        yield
    except RefusesUs as error:
        with tools.engine.begin() as connection:
            if issues.raise_finding(connection, CODE, message=str(error)):
                notices.issue_raised(tools, kind="finding", code=CODE, acs_system_id=None, connection=connection)
        raise
    with database.reading(tools.engine) as connection:
        is_open = issues.is_finding_open(connection, CODE)
    if is_open:
        with tools.engine.begin() as connection:
            issues.clear_finding(connection, CODE)
