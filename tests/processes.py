"""Real processes of ours for tests: started, waited for, and always ended, by their own id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.warm import Nursery, Started, may_be_warm

ROOT = Path(__file__).parent.parent
LONGEST_PAUSE_S = 0.2
CAPTIONER = str(Path(sys.executable).with_name("captioner"))
nursery: Callable[[], Nursery] | None = None
"""Where processes begin warm, if tests have set that."""


def heed_ctrl_c() -> None:
    """Of a process that begins: a background shell ignores SIGINT, and its children inherit it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Of a process. Unless a test asks for it, captions are made, not remembered, and in the number
    format in which they equal the reference.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CAPTIONER_")}
    usual = {"CAPTIONER_CACHE_TTL_S": "0", "CAPTIONER_DTYPE": "float32"}
    return {**kept, **usual, **extra, "HF_HUB_OFFLINE": "1"}


def start(
    command: Sequence[str], extra: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes] | Started:
    """A process, which writes to the end of a log."""
    if nursery is not None and may_be_warm(command, extra):
        return nursery().start(command, environment(extra), log)
    with log.open("ab") as out:
        return subprocess.Popen(
            list(command), cwd=ROOT, env=environment(extra), stdout=out, stderr=out
        )


@contextmanager
def running(
    command: Sequence[str], extra: Mapping[str, str], *, log: Path, grace_s: float = 30
) -> Iterator[subprocess.Popen[bytes] | Started]:
    """A process for the length of the block; then SIGTERM, and SIGKILL if it will not go."""
    process = start(command, extra, log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(ready: Callable[[], bool], *, what: str, timeout_s: float = 60) -> None:
    """Wait until it holds, or fail saying what did not."""
    deadline, pause_s = time.monotonic() + timeout_s, 0.02
    while not ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"within {timeout_s:g} s there was no {what}")
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, LONGEST_PAUSE_S)  # to ask is work for what is waited for


def answers(url: str, status: int = 200) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == status
    except httpx.HTTPError:
        return False


def held_mib(processes: Iterable[psutil.Process], kind: str = "uss") -> float:
    """MiB that these processes hold for themselves; `rss`: and what they share with others."""
    found = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found += getattr(process.memory_full_info(), kind)
    return found / 2**20


@contextmanager
def service(
    environment: Mapping[str, str],
    folder: Path,
    *,
    workers: int = 1,
    ready: bool = True,
    timeout_s: float = 180,
) -> Iterator[str]:
    """API and workers as processes. Yields the address, once a caption can be had."""
    port = free_port()
    env = {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes", **environment}
    env["CAPTIONER_PORT"] = str(port)
    api_log, worker_log = folder / "api.log", folder / "worker.log"
    with running([CAPTIONER, "api"], env, log=api_log):
        base = f"http://127.0.0.1:{port}"
        with told(api_log):
            until(lambda: answers(f"{base}/healthz"), what="API")
        with _workers(workers, env, worker_log):
            if ready:
                with told(worker_log, api_log):
                    asked = f"{base}/readyz"
                    until(lambda: answers(asked), what="ready worker", timeout_s=timeout_s)
            yield base


@contextmanager
def told(*logs: Path) -> Iterator[None]:
    """A failure in the block comes with the ends of these logs, as their folder may be far away."""
    try:
        yield
    except AssertionError as fault:
        for log in logs:
            fault.add_note(f"The end of {log}:\n{log.read_text(errors='replace')[-3000:]}")
        raise


@contextmanager
def _workers(count: int, env: Mapping[str, str], log: Path) -> Iterator[None]:
    if count == 0:
        yield
        return
    with running([CAPTIONER, "worker"], env, log=log), _workers(count - 1, env, log):
        yield
