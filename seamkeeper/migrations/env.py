"""How Alembic reaches the database: over the connection that `upgrade` gives it."""

from alembic import context

from seamkeeper.database import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
