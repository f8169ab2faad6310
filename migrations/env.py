"""How Alembic reaches the database: the URL comes from the caller or from the settings."""

from alembic import context
from sqlalchemy import Connection

from captioner.database import Database
from captioner.settings import load
from models import Base

LOCK = 4_961_070_521
"""Key of the Postgres advisory lock, so that two replicas do not migrate at once."""
LONGEST_S = 24 * 3600.0
"""A large table takes its time, and another replica that migrates is waited for."""


def migrate(connection: Connection) -> None:
    """Run the asked-for migrations on this connection, in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        context.run_migrations()


def keep_children(connection: Connection) -> None:
    """Let SQLite make a table anew without deleting the rows elsewhere that belong to its rows."""
    if connection.dialect.name == "sqlite":  # before the transaction: inside one it does nothing
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")


url = context.config.get_main_option("sqlalchemy.url") or load().database
database = Database(url, answer_s=LONGEST_S)
with database.engine.connect() as open_connection:
    keep_children(open_connection)
    migrate(open_connection)
database.close()
