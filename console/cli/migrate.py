"""`seamkeeper migrate`."""

from __future__ import annotations

import click

from console.cli.parts import open_database


@click.command("migrate")
@click.option("--check", is_flag=True, help="Only say whether it is needed: exit 1 when it is.")
def migrate_command(check: bool) -> int:
    """Bring the database to this version. Safe to run at every start, and twice at once."""
    from seamkeeper import migrations

    with open_database() as engine:
        if check:
            current, head = migrations.current(engine), migrations.head()
            click.echo(f"The database is at {current or 'nothing'}, this version needs {head}.", err=True)
            return 0 if current == head else 1
        click.echo(f"The database is at {migrations.upgrade(engine)}.", err=True)
    return 0
