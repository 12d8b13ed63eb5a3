"""Runs the migrations for Alembic on the connection from `genretagger.database.upgrade`.

The caller owns the connection and its transaction: either all migrations up to the newest happen in
it, or none does. For a developer's own `alembic` command, an argument names the database: `alembic
-x url=sqlite:///scratch.sqlite3 …`.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from genretagger.database.models import metadata


def run(connection: Connection) -> None:
    """Run Alembic's task on this connection."""
    # SQLite can alter little in place, so Alembic's batch mode copies the table instead.
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


connection: Connection | None = context.config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    with create_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as own:
        run(own)
