"""The tables' version: which one the database has, and moving it with Alembic."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from captioner.errors import DatabaseUnavailable, InvalidRequest
from captioner.settings import Settings

TRIES = 10
"""Of a move of the tables while programs work on them."""


def alembic_config(settings: Settings) -> Config:
    """Alembic, pointed at the installed migrations and the database in force."""
    config = Config()
    config.set_main_option("script_location", _escaped(str(_migrations())))
    config.set_main_option("sqlalchemy.url", _escaped(settings.database))
    return config


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Bring the tables to `revision`. Raises DatabaseUnavailable, or InvalidRequest for it."""
    file = _sqlite_file(settings)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
    with _errors_named(settings):
        _insist(lambda: command.upgrade(alembic_config(settings), revision))


def downgrade(settings: Settings, revision: str) -> None:
    """Take the tables back to `revision`. Raises as `upgrade` does."""
    with _errors_named(settings):
        _insist(lambda: command.downgrade(alembic_config(settings), revision))


def _insist(move: Callable[[], None]) -> None:
    """Move, again after a deadlock with programs that are at work: it was undone as a whole."""
    for tries_left in reversed(range(TRIES)):
        try:
            move()
            return
        except OperationalError as error:
            if not tries_left or type(error.orig).__name__ != "DeadlockDetected":
                raise


def current(settings: Settings) -> str | None:
    """The revision that the tables are at; None for an empty or missing database."""
    file = _sqlite_file(settings)
    if file and not file.exists():
        return None
    engine = create_engine(settings.database, poolclass=NullPool)
    with _errors_named(settings), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _migrations() -> Path:
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package `migrations` is not installed beside captioner")
    return Path(next(iter(spec.submodule_search_locations)))


def _escaped(value: str) -> str:
    return value.replace("%", "%%")  # configparser would read %40 of a password as its own


def _sqlite_file(settings: Settings) -> Path | None:
    url = make_url(settings.database)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


@contextmanager
def _errors_named(settings: Settings) -> Iterator[None]:
    shown = make_url(settings.database).render_as_string(hide_password=True)
    try:
        yield
    except OperationalError as error:
        raise DatabaseUnavailable(f"The database {shown} does not answer: {error.orig}") from error
    except CommandError as error:
        raise InvalidRequest(f"The database {shown} cannot be moved: {error}") from error
