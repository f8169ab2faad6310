"""The records and the migrations describe the same tables, on every database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, inspect, text

from captioner import schema
from captioner.database import Database
from captioner.settings import Settings
from models import Base
from tests.integration.conftest import settings_of
from tests.stacks import Stack, fresh


@pytest.fixture
def empty(stack: Stack, tmp_path: Path) -> Iterator[Settings]:
    """The settings for a database of the test's own, without tables."""
    with fresh(stack, tmp_path) as url:
        yield settings_of(stack, database_url=url)


def differences(database: Database) -> list[object]:
    """What Alembic would change to make the tables those of the records."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def checks(engine: Engine) -> set[tuple[str, str | None]]:
    """Table and name of every CHECK constraint, which Alembic does not compare."""
    found = inspect(engine)
    return {
        (table, check["name"])
        for table in Base.metadata.tables
        for check in found.get_check_constraints(table)
    }


def recorded_checks() -> set[tuple[str, str | None]]:
    return {
        (table.name, str(check.name))
        for table in Base.metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }


def tables(settings: Settings) -> set[str]:
    database = Database(settings.database)
    try:
        return set(inspect(database.engine).get_table_names())
    finally:
        database.close()


def test_records_equal_migrations(database: Database) -> None:
    assert differences(database) == []


def test_the_checks_of_the_records_are_those_of_the_migrations(database: Database) -> None:
    assert checks(database.engine) == recorded_checks()
    assert ("jobs", "ck_jobs_state_known") in recorded_checks()


def test_every_constraint_has_a_name(database: Database) -> None:
    found = inspect(database.engine)
    for table in Base.metadata.tables:
        assert found.get_pk_constraint(table)["name"], table
        for check in found.get_check_constraints(table):
            assert check["name"], table
        for key in found.get_foreign_keys(table):
            assert key["name"], table
        for unique in found.get_unique_constraints(table):
            assert unique["name"], table


def test_migrations_go_up_down_to_nothing_and_up_again(empty: Settings) -> None:
    assert schema.current(empty) is None
    schema.upgrade(empty)
    assert set(Base.metadata.tables) <= tables(empty)
    schema.downgrade(empty, "base")
    assert tables(empty) == {"alembic_version"}
    assert schema.current(empty) is None
    schema.upgrade(empty)
    assert schema.current(empty) == "0010"
    database = Database(empty.database)
    try:
        assert differences(database) == []
        assert checks(database.engine) == recorded_checks()
    finally:
        database.close()


def test_the_images_of_a_job_are_still_there_after_each_migration(empty: Settings) -> None:
    schema.upgrade(empty, "0001")
    database = Database(empty.database)
    try:
        with database.write() as session:
            session.execute(
                text(
                    "INSERT INTO jobs (id, state, model, image_count, succeeded_count,"
                    " failed_count, created_at) VALUES"
                    " ('0193ab00000070008000000000000001', 'succeeded', 'm', 1, 1, 0, :at)"
                ),
                {"at": "2026-01-01 00:00:00+00:00"},
            )
            session.execute(
                text(
                    "INSERT INTO job_images (job_id, position, state, caption, attempt, cached)"
                    " VALUES ('0193ab00000070008000000000000001', 0, 'succeeded', 'a', 1, false)"
                )
            )
        schema.upgrade(empty)
        schema.downgrade(empty, "0001")
        schema.upgrade(empty)
        with database.read() as session:
            assert session.scalar(text("SELECT caption FROM job_images")) == "a"
    finally:
        database.close()
