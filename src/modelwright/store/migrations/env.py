"""What Alembic runs: the migrations, on the connection that `upgrade` (or `generate`) opened, inside its transaction."""

from __future__ import annotations

from alembic import context

from modelwright.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by making it anew
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
