"""Processes of ours that begin in a warm interpreter: most of a start is reading libraries.

`python -m tests.warm FD` reads them once, and then becomes what it is asked for, by forks: the same
program with the same arguments, environment and log that a cold start would have. Nothing of ours
is read beforehand, as that may depend on the environment.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

READ_FIRST = (
    "alembic.command", "celery.bin.worker", "flask", "gunicorn.workers.gthread", "httpx",
    "kombu.transport.pyamqp", "kombu.transport.redis", "limits", "multipart", "openvino",
    "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "psycopg", "pydantic_settings", "redis.asyncio",
    "rich.progress", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm", "tantivy", "torch", "transformers.models.auto.processing_auto",
    "transformers.models.blip.modeling_blip", "transformers.models.blip.image_processing_pil_blip",
    "transformers.models.auto.tokenization_auto", "uuid_utils.compat",
)  # fmt: skip
"""Not prometheus_client, which looks into the environment when it is read."""
UNSURE = ("HF_", "HTTP", "LD_", "OMP_", "OV_", "PYTHON", "TORCH")
"""Variables that libraries may look at when they are read: who sets one starts cold."""


class Started:
    """A process that was forked elsewhere; as much of `subprocess.Popen` as tests use."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        self.returncode = self._nursery.ended(self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (found := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            time.sleep(0.01)
        return found

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The warm interpreter of this process, as others see it. Thread-safe."""

    def __init__(self, root: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
                cwd=root,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )
        self._file = ours.makefile("rw", encoding="utf-8")
        self._lock = threading.Lock()
        atexit.register(self.close)

    def start(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> Started:
        """A process that has begun; its log is there."""
        log.touch()
        return Started(
            self, self._ask({"command": list(command), "env": dict(env), "log": str(log)})
        )

    def ended(self, pid: int) -> int | None:
        found: int | None = self._ask({"ended": pid})
        return found

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._process.wait()

    def _ask(self, question: dict[str, Any]) -> Any:
        with self._lock:
            self._file.write(json.dumps(question) + "\n")
            self._file.flush()
            return json.loads(self._file.readline())


def may_be_warm(command: Sequence[str], extra: Mapping[str, str]) -> bool:
    """Whether a process with that command and these variables can begin in a fork."""
    ours = Path(command[0]).name == "captioner" or command[1:2] == ["-m"]
    return ours and not any(name.startswith(UNSURE) for name in extra)


def main() -> None:
    """Read the libraries, and serve until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # as worker.engines.openvino
    for name in READ_FIRST:
        import_module(name)
    gc.collect()
    gc.freeze()
    sock = socket.socket(fileno=int(sys.argv[1]))
    statuses: dict[int, int | None] = {}
    buffer = b""
    while data := sock.recv(65_536):
        buffer += data
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            asked = json.loads(line)
            if "ended" in asked:
                answer = _status(statuses, asked["ended"])
            else:
                answer = os.fork()
                if answer == 0:
                    sock.close()
                    _become(asked)
                statuses[answer] = None
            sock.sendall(json.dumps(answer).encode() + b"\n")


def _status(statuses: dict[int, int | None], pid: int) -> int | None:
    if statuses[pid] is None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            statuses[pid] = os.waitstatus_to_exitcode(status)
    return statuses[pid]


def _become(asked: dict[str, Any]) -> None:
    """Run a program to its end, as a new interpreter would."""
    code = 1
    try:
        log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(asked["env"])
        code = _run(asked["command"])
    finally:
        threading._shutdown()  # type: ignore[attr-defined] # what an interpreter does at its end
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(command: list[str]) -> int:
    try:
        if command[1:2] == ["-m"]:
            sys.argv = command[2:]
            runpy.run_module(command[2], run_name="__main__", alter_sys=True)
        else:
            sys.argv = command
            import_module("cli.main").main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return -signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    main()
