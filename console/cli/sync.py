"""`seamkeeper sync`: read users again now."""

from __future__ import annotations

import click

from console.cli.arguments import an_id
from console.cli.parts import open_queues


@click.command("sync")
@click.argument("acs_user_ids", nargs=-1, type=an_id, metavar="[ID]…")
@click.option(
    "--system", "acs_system_ids", multiple=True, type=an_id, metavar="ID", help="All users of an access system."
)
@click.option("--all", "everything", is_flag=True, help="All users of all access systems that Seam shows us.")
def sync_command(acs_user_ids: tuple[str, ...], acs_system_ids: tuple[str, ...], everything: bool) -> int:
    """Ask for users to be read again, and repaired where policy allows. The workers do it."""
    from seamkeeper.queues import RESYNC_ALL, RESYNC_SYSTEM

    if not (acs_user_ids or acs_system_ids or everything):
        raise click.UsageError("Give ids, --system or --all.")
    why = "sync on the command line"
    with open_queues() as queues:
        for acs_user_id in acs_user_ids:
            queues.ask_reconcile(acs_user_id, why=why, source="operator")
        for acs_system_id in acs_system_ids:
            queues.ask_resync(RESYNC_SYSTEM, acs_system_id, why=why)
        if everything:
            queues.ask_resync(RESYNC_ALL, "all", why=why)
    click.echo(f"Asked for {_what(len(acs_user_ids), len(acs_system_ids), everything)}.", err=True)
    return 0


def _what(users: int, systems: int, everything: bool) -> str:
    counted = [(users, "user"), (systems, "access system")]
    words = [f"{number} {name}{'s' if number > 1 else ''}" for number, name in counted if number]
    return " and ".join([*words, *(["all access systems"] if everything else [])])
