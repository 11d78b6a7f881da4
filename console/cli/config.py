"""`seamkeeper config`: the settings that count, what there is to set, and a file to begin with."""

from __future__ import annotations

import click

from console import effective
from console.cli import output
from seamkeeper import settings


@click.group("config")
def config_command() -> None:
    """Settings are read from the environment: nothing is changed here."""


@config_command.command("show")
@output.json_option
def show(as_json: bool) -> None:
    """What counts, and where it came from. Secrets are told by their last letters at most."""
    told = settings.load()
    lines = effective.lines(told)
    if as_json:
        values = {setting.name: effective.plain_value(getattr(told, setting.attribute)) for setting in settings.SETTINGS
                  if not setting.is_secret}  # fmt: skip
        output.print_json(
            {line.name: {"value": values.get(line.name, line.value), "source": line.source} for line in lines}
        )
        return
    rows = [(line.name, line.value, line.source) for line in lines]
    output.print_table(("setting", "value", "from"), rows, empty="")


@config_command.command("schema")
@output.json_option
def schema(as_json: bool) -> None:
    """Every setting: its name, what it means, its default."""
    told = settings.Settings()
    found = [
        {
            "name": setting.name, "meaning": setting.meaning, "is_secret": setting.is_secret,
            "default": None if setting.is_secret else effective.plain_value(getattr(told, setting.attribute)),
        }
        for setting in settings.SETTINGS
    ]  # fmt: skip
    if as_json:
        output.print_json(found)
        return
    rows = [(each["name"], each["default"], each["meaning"]) for each in found]
    output.print_table(("setting", "default", "meaning"), rows, empty="")


@config_command.command("env")
def env() -> None:
    """A template for .env: each setting as a comment, to be uncommented and filled in."""
    for line in effective.lines(settings.Settings(), {}):
        click.echo(f"# {line.meaning}")
        value = "" if line.is_secret or line.value == "not set" else f"  # default: {line.value}"
        click.echo(f"#{line.name}={value}\n")
