"""The command line: one table of commands, each imported only when it is called, so that `--help` is quick."""

from __future__ import annotations

import importlib
import io
import sys

import click

# name -> (module under console.cli, one line of help)
COMMANDS = {
    "dev": ("dev", "The whole service on this machine, with a simulated building if there is no API key."),
    "serve": ("services", "The receiver: the webhook door."),
    "worker": ("services", "Worker processes that run the jobs."),
    "scheduler": ("services", "What runs by the clock: retries and later looks that are due."),
    "console": ("services", "The console's pages and /metrics."),
    "simulate": ("services", "A simulated Seam to try the service with."),
    "status": ("status", "Is it fine? The overview on one screen."),
    "doctor": ("doctor", "Can this installation work? Each check, and how to mend it."),
    "config": ("config", "The settings that count: show, schema, env."),
    "register": ("register", "Our webhook at Seam: make it, or adopt and complete it."),
    "migrate": ("migrate", "Bring the database to this version."),
    "desired": ("desired", "What you want of each user: set, import, adopt, show, remove."),
    "users": ("users", "The people: list, show."),
    "issues": ("issues", "What is wrong with whom: list, show, acknowledge, snooze."),
    "policy": ("policy", "What may be done to whom: list, show, set, clear."),
    "plan": ("plan", "Read users at Seam and show what would be written; nothing is."),
    "apply": ("apply", "Write exactly what a plan says."),
    "recreate": ("recreate", "Make new users in place of those who are gone and still desired."),
    "pause": ("pause", "Write nothing about users, an access system or all for a while; or let a queue wait."),
    "resume": ("pause", "End a pause."),
    "events": ("events", "The events: list, show."),
    "replay": ("replay", "Work through what came before once more: ids, or all that fit."),
    "dead": ("dead", "What will not be tried again without a person: list, discard."),
    "notices": ("notices", "What people were told outside of the console: list, test."),
    "sync": ("sync", "Read users again now, and repair what drifted."),
    "backfill": ("backfill", "Fetch the events that no delivery brought."),
    "send": ("send", "Sign a sample event and post it to the receiver."),
    "health": ("health", "For health checks: exit 0 when the part is well."),
}


class _Commands(click.Group):
    """Finds a command in the table; its module is imported then."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"console.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seamkeeper")
def cli() -> None:
    """Seamkeeper keeps the people in your access systems the way you want them.

    Settings come from the environment; `seamkeeper dev` needs none.
    """


def main() -> None:
    """The command `seamkeeper`. Exit: 0 ok, 1 failed, 2 usage or settings, 3 partly failed, 4 not found, 5 no Redis,
    database or receiver, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no umlauts is no reason to fail
    try:
        code = cli.main(prog_name="seamkeeper", standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Exception as error:
        from console.cli.failing import explain

        code = explain(error)
    sys.exit(code if isinstance(code, int) else 0)
