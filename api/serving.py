"""How gunicorn runs the API: the one place for its options."""

import ctypes
import gc
import os
import resource
import shutil
import sys
from contextlib import suppress
from importlib import import_module
from tempfile import mkdtemp
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

from api.gathering import GatheringWorker
from api.lines import Lines
from captioner import garbage, logs
from captioner.settings import Settings

GRACE_S = 20
"""After SIGTERM, requests that run have so long to end."""
COUNTS = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder where the processes count together (`captioner.traffic`)."""
SPARE_CONNECTIONS = 1024
"""Connections of a process besides those that have a thread: idle ones, and requests that come."""
FILES_BESIDES = 4096
"""Open files of a process besides its connections."""
LARGE_BYTES = 4 * 2**20
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of malloc.h."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - files there are gunicorn's, unlinked once open


def gunicorn_options(settings: Settings) -> dict[str, object]:
    """Every option that differs from gunicorn's default, by its name in gunicorn's settings."""
    return {
        "bind": [address(settings.host, settings.port)],
        "workers": settings.api_processes,
        "worker_class": GatheringWorker,
        "threads": settings.api_threads,
        "worker_connections": settings.api_threads + SPARE_CONNECTIONS,
        "timeout": 60,  # for the process's own sign of life, not for a request
        "graceful_timeout": GRACE_S,
        "keepalive": 5,
        "backlog": 1024,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 8190,
        "forwarded_allow_ips": "127.0.0.1,::1",
        "forwarder_headers": "",  # else SCRIPT_NAME of a client here would change its path
        "sendfile": False,  # it waits for a client without our bounds
        "worker_tmp_dir": _memory(),
        "accesslog": None,
        "errorlog": "-",
        "loglevel": settings.log_level.lower(),
        "logger_class": Lines,
        "control_socket_disable": True,  # else a socket appears in the home folder
        "post_worker_init": _begin,
        "worker_exit": _close_services,
        "on_exit": _forget_counts,
    }


def address(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """gunicorn, told by our settings alone: no command line, no configuration file."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Called by gunicorn before it starts."""
        for name, value in gunicorn_options(self.settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Called by gunicorn in each of its processes."""
        from api.wsgi import app

        return app


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Does not return."""
    logs.configure(settings.log_level, settings.log_format)
    _allow_open_files(settings.api_threads + SPARE_CONNECTIONS + FILES_BESIDES)
    # Its processes count there together. Read by prometheus_client once, when it is imported.
    os.environ[COUNTS] = mkdtemp(prefix=f"captioner-counts-{os.getpid()}-", dir=_memory())
    import_module("api.app")  # before they are forked: they share it, and are there sooner
    gc.freeze()  # else the first collection of each would write to all of it
    _give_memory_back()
    Server(settings).run()


def _give_memory_back() -> None:
    """Have large pictures go back to the system at once, by glibc's mallopt(3).

    Left to itself it keeps the room of the largest that each of its arenas ever had, and there are
    eight arenas for each core.
    """
    with suppress(OSError, AttributeError):  # where there is another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(TRIM_THRESHOLD, 2 * LARGE_BYTES)


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _memory() -> str | None:
    return SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None


def _forget_counts(_server: object) -> None:
    """Called in the first process alone: the others are gone."""
    shutil.rmtree(os.environ[COUNTS], ignore_errors=True)


def _begin(worker: Any) -> None:
    """In each process, once it has its application. On SIGTERM, waiting callers get their job's
    address before the grace is over.
    """
    garbage.look_rarely()
    services = worker.app.callable.extensions["captioner"]
    services.waiting_room.is_leaving = lambda: not worker.alive


def _close_services(_server: object, _worker: object) -> None:
    module = sys.modules.get("api.wsgi")  # absent where it could not be imported
    if module is not None:
        module.app.extensions["captioner"].close()
