"""An error a command met, as a sentence and an exit code; only what nobody expected keeps its traceback."""

from __future__ import annotations

import sys

import click

from console.cli.output import printable
from seamkeeper.errors import ConfigurationError, SeamkeeperError

_NO_TABLES = ("no such table", "undefinedtable")
_OTHER_TABLES = ("no such column", "has no column", "undefinedcolumn")
_OURS = ("DataError", "IntegrityError", "StatementError", "InvalidRequestError")  # a mistake in a query


class CannotReach(click.ClickException):
    """Redis, the database or the receiver is not there."""

    exit_code = 5


def explain(error: Exception) -> int:
    """Says on stderr what was wrong and what to do; gives the exit code. Raises what is a mistake of ours."""
    if isinstance(error, ConfigurationError):
        return _say(2, f"The settings cannot work:\n{error}")
    if isinstance(error, SeamkeeperError):
        return _say(1, str(error))
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        return _say(2, "An argument holds bytes that are not UTF-8.")
    if _is_from("redis", error):
        return _say(5, f"Redis does not answer: {_reason(error)}\nIs REDIS_URL right, and does it run?")
    if _is_from("sqlalchemy", error) and type(error).__name__ not in _OURS:
        return _explain_database(error)
    if _is_from("alembic", error):
        return _say(1, f"The database cannot be brought to this version: {_reason(error)}")
    raise error


def _explain_database(error: Exception) -> int:
    words = f"{type(getattr(error, 'orig', None)).__name__} {error}".lower()
    if any(sign in words for sign in _NO_TABLES):
        return _say(5, "The database has no tables yet. Run: seamkeeper migrate")
    if any(sign in words for sign in _OTHER_TABLES):
        return _say(5, "The tables are those of another version. Run: seamkeeper migrate")
    return _say(5, f"The database does not answer: {_reason(error)}\nIs DATABASE_URL right, and does it run?")


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    return printable(lines[0][:200] if lines else type(error).__name__)


def _say(code: int, sentence: str) -> int:
    click.echo(sentence, err=True)
    return code


def _is_from(package: str, error: Exception) -> bool:
    """Without importing the package: a command that did not use it cannot have met its errors."""
    return package in sys.modules and type(error).__module__.partition(".")[0] == package
