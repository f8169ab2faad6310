"""A database that is silent, cut off or half way through a change of its tables: never a hang."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from captioner import schema
from captioner.database import Database
from captioner.errors import DatabaseUnavailable
from tests.faults.stoppable import OwnPostgres, own_postgres, through
from tests.faults.wire import Proxy
from tests.integration.conftest import settings_of
from tests.stacks import Stack


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture
def proxy(postgres: OwnPostgres) -> Iterator[Proxy]:
    with Proxy(postgres.socket) as opened:
        yield opened


@pytest.fixture
def opened() -> Iterator[Callable[..., Database]]:
    databases = []

    def open_(url: str, **options: float) -> Database:
        databases.append(Database(url, **options))
        return databases[-1]

    yield open_
    for database in databases:
        database.close()


def seconds(call: Callable[[], object]) -> float:
    since = time.monotonic()
    call()
    return time.monotonic() - since


def refused(call: Callable[[], object]) -> float:
    """Seconds after which it was refused."""
    since = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        call()
    return time.monotonic() - since


def test_a_server_that_stops_is_told_within_seconds_and_found_again(
    postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database = opened(postgres.url)
    database.ping()
    postgres.stop()
    try:
        assert refused(database.ping) < 5
        with ThreadPoolExecutor(32) as callers:  # one asks again, the rest do not pile up
            waits = sorted(callers.map(lambda _: refused(database.ping), range(64)))
        assert waits[-2] < 0.5, waits
        assert waits[-1] < 5
    finally:
        postgres.go_on()
    assert seconds(database.ping) < 1


def test_a_statement_that_is_never_answered_ends(
    proxy: Proxy, postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database = opened(through(postgres.url, proxy.port), answer_s=1)
    database.ping()

    def silenced() -> None:
        with database.write() as session:
            session.execute(text("SELECT 1"))
            proxy.silent = True
            session.execute(text("SELECT 2"))

    assert 0.9 < refused(silenced) < 2
    proxy.silent = False
    database.ping()


def test_a_commit_that_is_never_answered_ends(
    proxy: Proxy, postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database = opened(through(postgres.url, proxy.port), answer_s=1)

    def silenced() -> None:
        with database.write() as session:
            session.execute(text("SELECT 1"))
            proxy.silent = True

    assert 0.9 < refused(silenced) < 2
    proxy.silent = False
    database.ping()


def test_connections_that_were_reset_are_made_anew(
    proxy: Proxy, postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database = opened(through(postgres.url, proxy.port))
    for _ in range(3):
        database.ping()
        proxy.cut()
        time.sleep(0.05)
    database.ping()


def test_a_slow_network_is_not_an_outage(
    proxy: Proxy, postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database = opened(through(postgres.url, proxy.port))
    proxy.delay_s = 0.15  # each way
    database.ping()
    assert seconds(database.ping) < 3


def test_a_slow_server_says_so_itself_and_keeps_its_connection(
    postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database = opened(postgres.url, answer_s=1)
    with database.read() as session:
        before = session.scalar(text("SELECT pg_backend_pid()"))
    with pytest.raises(DatabaseUnavailable, match="QueryCanceled"), database.read() as session:
        session.execute(text("SELECT pg_sleep(10)"))
    with database.read() as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) == before


def test_connections_killed_all_the_time_are_a_clean_refusal_at_most(
    postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database, killer = opened(postgres.url), opened(postgres.url)
    enough = threading.Event()

    def kill() -> None:
        while not enough.wait(0.1):
            with killer.read() as session:
                session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'captioner' AND pid <> pg_backend_pid()"
                    )
                )

    def work(_: int) -> list[str]:
        seen = []
        while not enough.is_set():
            try:
                with database.write() as session:
                    session.execute(text("SELECT pg_sleep(0.01)"))
                    session.execute(text("SELECT 1 FROM jobs LIMIT 1"))
                seen.append("done")
            except DatabaseUnavailable:
                seen.append("refused")
        return seen

    with ThreadPoolExecutor(9) as threads:
        killing = threads.submit(kill)
        working = [threads.submit(work, n) for n in range(8)]
        time.sleep(4)
        enough.set()
        killing.result()
        seen = [each for result in working for each in result.result()]
    assert {"done", "refused"} == set(seen)  # and nothing else was raised


@pytest.mark.parametrize("statement", ["SELECT later FROM jobs", "SELECT 1 FROM later"])
def test_tables_of_another_version_are_a_database_that_is_not_ready(
    stack: Stack, database: Database, statement: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match="captioner db upgrade"), database.read() as found:
        found.execute(text(statement))


def test_a_row_for_a_column_that_is_not_there_yet_is_refused_the_same(
    stack: Stack, database: Database
) -> None:
    with pytest.raises(DatabaseUnavailable, match="captioner db upgrade"), database.write() as to:
        to.execute(text("INSERT INTO jobs (later) VALUES (1)"))


def test_a_table_that_changes_under_a_prepared_statement_is_no_mistake_of_ours(
    postgres: OwnPostgres, opened: Callable[..., Database]
) -> None:
    database, other = opened(postgres.url), opened(postgres.url)
    with other.write() as session:
        session.execute(text("CREATE TABLE changing (a int)"))

    def look() -> None:
        with database.read() as session:
            session.execute(text("SELECT * FROM changing WHERE a = :a"), {"a": 1})

    for _ in range(8):  # psycopg prepares what it has seen five times
        look()
    with other.write() as session:
        session.execute(text("ALTER TABLE changing ADD COLUMN b int"))
    with pytest.raises(DatabaseUnavailable, match="another version"):
        look()
    look()  # it is prepared anew


def test_a_sqlite_file_that_is_locked_for_long_is_refused_and_then_written(
    tmp_path: Path, opened: Callable[..., Database]
) -> None:
    url = f"sqlite:///{tmp_path / 'locked.db'}"
    schema.upgrade(settings_of(Stack("own", {"CAPTIONER_DATABASE_URL": url})))
    database = opened(url)
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    database.ping()  # readers are not held up
    with (
        pytest.raises(DatabaseUnavailable, match="OperationalError"),
        database.write() as session,
    ):
        session.execute(text("SELECT 1"))
    other.execute("ROLLBACK")
    other.close()
    with database.write() as session:
        session.execute(text("SELECT 1"))
