"""An error a command met, as a sentence and an exit code; only what nobody expected keeps its traceback."""

from __future__ import annotations

import sys

import click

from seamkeeper.errors import ConfigurationError, SeamkeeperError


def explain(error: Exception) -> int:
    """Says on stderr what was wrong and what to do; gives the exit code. Raises what is a mistake of ours."""
    if isinstance(error, ConfigurationError):
        click.echo(f"The settings cannot work:\n{error}", err=True)
        return 2
    if isinstance(error, SeamkeeperError):
        click.echo(str(error), err=True)
        return 1
    if _is_from("redis", error):
        click.echo(f"Redis does not answer ({type(error).__name__}). Is REDIS_URL right, and does it run?", err=True)
        return 5
    if _is_from("sqlalchemy", error):
        return _explain_database(error)
    raise error


def _explain_database(error: Exception) -> int:
    words = str(error).lower()
    if "no such table" in words or "does not exist" in words or "undefinedtable" in words:
        click.echo("The database has no tables yet. Run: seamkeeper migrate", err=True)
        return 5
    reason = str(error).splitlines()[0][:200]
    click.echo(f"The database does not answer: {reason}\nIs DATABASE_URL right, and does it run?", err=True)
    return 5


def _is_from(package: str, error: Exception) -> bool:
    """Without importing the package: a command that did not use it cannot have met its errors."""
    return package in sys.modules and type(error).__module__.partition(".")[0] == package
