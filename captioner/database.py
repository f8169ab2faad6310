"""One way to reach the database: a look or a `write` transaction, short, then closed.

A failure to reach it comes out as `DatabaseUnavailable`, so that callers tell it from a bug.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from captioner.errors import DatabaseUnavailable
from captioner.outage import Outage
from captioner.postgres import NoAnswer, postgres_engine
from captioner.turns import Turns

ANSWER_S = 4.0
"""How long a caller who is waiting lets Postgres be silent. Work in the background has longer."""
BUSY_TIMEOUT_S = 10
LOOK_MS = 2
"""How long SQLite looks for the end of another's write before we look again, until that time."""
POOL: dict[str, Any] = {"pool_size": 10, "max_overflow": 30, "pool_timeout": 5}
WRITERS = 4
"""Transactions of one process that write at once: more of them only wait for each other's locks,
with a connection that others could read with."""
TURN_S = 30.0
"""How long one waits for its turn."""
TABLES_DIFFER = ("UndefinedTable", "UndefinedColumn", "UndefinedFunction", "FeatureNotSupported")
"""What Postgres says of tables that are not there or of another version, as in a migration.

The last is a prepared statement whose table was changed since."""
READ_ONLY = ("ReadOnlySqlTransaction",)
"""What a server says that has become a standby."""
OTHER_VERSION = "The database's tables are of another version: run 'captioner db upgrade'."
NO_TABLES = "The database has no tables yet: run 'captioner db upgrade'."
REASONS = {
    "column": OTHER_VERSION,
    "cached plan": OTHER_VERSION,
    "no such table": NO_TABLES,
    "does not exist": NO_TABLES,
    "is full": "The database's disk is full. Try again shortly.",
    "No space left": "The database's disk is full. Try again shortly.",
    "disk I/O error": "The database's disk cannot be written. Try again shortly.",
}
"""What to tell of an error with these words, the first that fits."""


class Database:
    """A pool of connections to Postgres (psycopg 3) or SQLite (WAL). Thread-safe.

    `answer_s`: how long Postgres may be silent before it counts as away.
    """

    def __init__(self, url: str, *, answer_s: float = ANSWER_S) -> None:
        self.url = url
        self._outage = Outage(_is_no_answer)
        self._turns = Turns(WRITERS, patience_s=TURN_S, in_vain=lambda: self._outage.others_ask)
        self.engine = _engine(url, answer_s, self._outage)
        self._reader, self._snapshots = (
            self.engine.execution_options(**options) for options in _reading(self.engine)
        )
        self._writer = self.engine.execution_options(captioner_begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """For looking only: one transaction on SQLite; on Postgres each statement looks anew."""
        with self._transaction(self._reader) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """For looking only: all statements see what was there at the first one's moment."""
        with self._transaction(self._snapshots) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at the end of the block, or rolls back on an exception."""
        with self._turns.taken(), self._transaction(self._writer) as session:
            yield session

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        session = Session(engine, expire_on_commit=False)  # rows are read after it is closed
        with self._outage.watched(), _faults_named(), session, session.begin():
            yield session

    def empty_log(self) -> bool:
        """On SQLite: move all of the log into the database's file, and the log holds nothing more.

        Returns whether it could be done at once: not while another connection reads.
        """
        if self.engine.dialect.name != "sqlite":
            return True
        with _faults_named():
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA busy_timeout=200")
                busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
            finally:
                connection.close()
        return not busy

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
        known = (*TABLES_DIFFER, *READ_ONLY)
        if error.connection_invalidated or type(error.orig).__name__ in known:
            raise DatabaseUnavailable(_cause(error)) from error
        raise


def _reading(engine: Engine) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of a look, and of one that is a snapshot."""
    # Postgres shows each statement what is committed when it begins, in a transaction or not,
    # unless a stricter one is asked for. To begin and end one are two questions more.
    if engine.dialect.name == "postgresql":
        return {"isolation_level": "AUTOCOMMIT"}, {"isolation_level": "REPEATABLE READ"}
    return {"captioner_begin": "BEGIN"}, {"captioner_begin": "BEGIN"}


def _is_no_answer(error: Exception) -> bool | None:
    if isinstance(error.__cause__, PoolTimeout):
        return None
    return isinstance(getattr(error.__cause__, "orig", None), NoAnswer)


def _cause(error: Exception) -> str:
    orig = getattr(error, "orig", None) or error
    first_line = (str(orig).strip().splitlines() or ["no answer"])[0]
    for words, reason in REASONS.items():
        if words in first_line:
            return reason
    return f"The database does not answer ({type(orig).__name__}). Try again shortly."


def _engine(url: str, answer_s: float, outage: Outage) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url, parsed.database)
    return postgres_engine(url, answer_s=answer_s, is_away=lambda: outage.others_ask, **POOL)


def _sqlite(url: str, path: str | None) -> Engine:
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        **POOL,
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
    cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, not only unlinked
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    # A write that starts as a read cannot wait its turn in SQLite: it must say so at once.
    begin = connection.get_execution_options().get("captioner_begin", "BEGIN IMMEDIATE")
    if begin == "BEGIN":
        connection.exec_driver_sql(begin)
        return
    # SQLite's own wait for another writer grows to a tenth of a second between two looks, in which
    # the database is idle: ours does not grow.
    connection.exec_driver_sql(f"PRAGMA busy_timeout={LOOK_MS}")
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    cursor = connection.connection.cursor()
    try:
        while not _begun(cursor, begin):
            if time.monotonic() > deadline:
                connection.exec_driver_sql(begin)  # for its error, as SQLAlchemy names it
                break
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000}")
        cursor.close()


def _begun(cursor: Any, begin: str) -> bool:
    try:
        cursor.execute(begin)
    except sqlite3.OperationalError:
        return False
    return True
