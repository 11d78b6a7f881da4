"""`seamkeeper register`: our webhook at Seam, made or adopted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.cli.output import json_option
from console.cli.services import become, flags

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("register")
@click.option("--url", default="", metavar="URL", help="https://…/webhooks/seam; SEAMKEEPER_WEBHOOK_URL by default.")
@click.option(
    "--events", default="", metavar="TYPES", help="Of a new webhook, separated by commas; all by default, or `ours`."
)
@click.option("--secret-file", type=_FILE, help="Where its secret goes; SEAM_WEBHOOK_SECRET_FILE by default.")
@click.option("--write-env", type=_FILE, help="The same as a line of a file of variables, such as .env.")
@click.option("--print-secret", is_flag=True, help="To stdout.")
@click.option("--remove-duplicates", is_flag=True, help="Remove other webhooks with this URL at Seam; asks first.")
@click.option("--dry-run", is_flag=True, help="Look and say; nothing is changed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def register_command(**options: Any) -> None:
    """Make our webhook at Seam, or adopt the one that has this URL and add the event types that it lacks.

    Needs SEAM_API_KEY, and neither Redis nor a worker. Exit 1 when Seam refuses or the secret is not where it shall be,
    5 when Seam does not answer.
    """
    if options["secret_file"] and options["write_env"]:
        raise click.UsageError("Give --secret-file or --write-env, not both.")
    options["json"] = options.pop("as_json")
    become("workers", "register", *flags({name: value for name, value in options.items() if value}))
