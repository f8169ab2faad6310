"""The records and the migrations describe the same tables, on every database."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from captioner import schema
from captioner.database import Database
from models import Base
from tests.integration.conftest import settings_of
from tests.stacks import Stack


def test_records_equal_migrations(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_constraint_has_a_name(database: Database) -> None:
    found = inspect(database.engine)
    for table in Base.metadata.tables:
        for check in found.get_check_constraints(table):
            assert check["name"], table
        for key in found.get_foreign_keys(table):
            assert key["name"], table


def test_migrations_go_down_and_up_again(stack: Stack, tmp_path) -> None:
    if stack.name.startswith("sqlite"):
        settings = settings_of(stack, database_url=f"sqlite:///{tmp_path / 'other.db'}")
        schema.upgrade(settings)
        command.downgrade(schema.alembic_config(settings), "base")
        schema.upgrade(settings)
        assert schema.current(settings) == "0001"
    else:  # the shared database is not taken down: the script alone is rendered
        assert schema.current(settings_of(stack)) == "0001"
