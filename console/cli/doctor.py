"""`seamkeeper doctor`: can this installation work, and how is mended what cannot?"""

from __future__ import annotations

import os
from dataclasses import asdict

import click

from console.cli import output
from seamkeeper import settings


@click.command("doctor")
@click.option("--only", multiple=True, metavar="NAME", help="This check; again for more.")
@output.json_option
def doctor_command(only: tuple[str, ...], as_json: bool) -> int:
    """Each check is ok, warn or fail, with how to mend it. Exit 0 when none failed, else 1.

    It sees what this process sees: run it where the workers run to look with their settings.
    """
    told = settings.load()
    os.environ["RQ_KEY_PREFIX"] = told.redis_key_prefix  # RQ reads it once, when it is imported
    from console.cli.parts import open_database
    from console.doctor import CHECKS, examine
    from console.web.state import close_console, open_console

    if unknown := [name for name in only if name not in CHECKS]:
        raise click.UsageError(f"{output.printable(unknown[0])} is no check. There are: {', '.join(CHECKS)}.")
    with open_database(told):  # an address that cannot be one is said here
        console = open_console(told)
    try:
        results = examine(console, only=only)
    finally:
        close_console(console)
    if as_json:
        output.print_json([asdict(each) for each in results])
    else:
        width = max(len(each.name) for each in results)
        for each in results:
            click.echo(f"{each.outcome:<4}  {each.name:<{width}}  {output.printable(each.found)}")
            if each.mend:
                click.echo(f"{'':<{width + 8}}{output.printable(each.mend)}")
    return 1 if any(each.outcome == "fail" for each in results) else 0
