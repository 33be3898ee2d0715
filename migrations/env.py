"""Alembic's way in: runs the migrations on the connection that runnerd.store hands over."""

from alembic import context

from runnerd.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
