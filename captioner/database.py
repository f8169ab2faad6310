"""One way to reach the database: a `read` or a `write` transaction, short, then closed.

A failure to reach it comes out as `DatabaseUnavailable`, so that callers tell it from a bug.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from captioner.errors import DatabaseUnavailable

BUSY_TIMEOUT_S = 10
CONNECT_TIMEOUT_S = 3
STATEMENT_MS = 30_000
LOCK_MS = 10_000
POOL_SIZE = 10
POOL_OVERFLOW = 30
POOL_TIMEOUT_S = 5


class Database:
    """A pool of connections to Postgres (psycopg 3) or SQLite (WAL). Thread-safe."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self._reader = self.engine.execution_options(captioner_begin="BEGIN")
        self._writer = self.engine.execution_options(captioner_begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction for looking only."""
        with self._transaction(self._reader) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block, or rolls back on an exception."""
        with self._transaction(self._writer) as session:
            yield session

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        session = Session(engine, expire_on_commit=False)  # rows are read after it is closed
        with _faults_named(), session, session.begin():
            yield session

    def ping(self) -> None:
        """Raise `DatabaseUnavailable` unless the database answers and its schema is there."""
        with self.read() as session:
            session.execute(text("SELECT 1 FROM jobs LIMIT 1"))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise DatabaseUnavailable(_cause(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated or "UndefinedTable" in type(error.orig).__name__:
            raise DatabaseUnavailable(_cause(error)) from error
        raise


def _cause(error: Exception) -> str:
    orig = getattr(error, "orig", None) or error
    first_line = (str(orig).strip().splitlines() or ["no answer"])[0]
    if "no such table" in first_line or "does not exist" in first_line:
        return "The database has no tables yet: run 'captioner db upgrade'."
    return f"The database does not answer ({type(orig).__name__}). Try again shortly."


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url, parsed.database)
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,  # prompts and captions stay out of logs
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "captioner",
            "options": f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={LOCK_MS}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        },
    )


def _sqlite(url: str, path: str | None) -> Engine:
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_TIMEOUT_S,
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: see _sqlite_begin
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an accepted image survives a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    # A write that starts as a read cannot wait its turn in SQLite: it must say so at once.
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get("captioner_begin", "BEGIN IMMEDIATE"))
