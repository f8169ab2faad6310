"""`captioner worker --gpus`: real workers, pinned by their environment, on this CPU."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.alone import stack as stack
from tests.integration.calls import files
from tests.pictures import png, sure
from tests.processes import CAPTIONER, running, service, until
from tests.stacks import Stack


@pytest.fixture
def http(stack: Stack, tmp_path: Path) -> Iterator[httpx.Client]:
    """A service without workers."""
    with (
        service(stack.environment, tmp_path, workers=0, ready=False) as base,
        httpx.Client(base_url=base, timeout=120) as client,
    ):
        yield client


def sees(pid: int) -> str | None:
    """What a process was told of GPUs; `None` where it has ended."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    told = [word for word in words if word.startswith(b"CUDA_VISIBLE_DEVICES=")]
    return told[0].decode().partition("=")[2] if told else None


def ready(http: httpx.Client) -> dict[int, str]:
    """Each worker that has its model: process to what it sees."""
    found = http.get("/workers").json()
    pids = [each["pid"] for each in found if each["models"]["scenes"]["state"] == "ready"]
    return {pid: seen for pid in pids if (seen := sees(pid)) is not None}


def test_one_command_runs_a_pinned_worker_for_each_gpu(
    http: httpx.Client, stack: Stack, tmp_path: Path
) -> None:
    env = {**stack.environment, "CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes"}
    command = [CAPTIONER, "worker", "--gpus", "0,1", "--device", "cpu"]
    log = tmp_path / "workers.log"
    with running(command, env, log=log, grace_s=60) as process:
        until(lambda: sorted(ready(http).values()) == ["0", "1"], what=f"two workers (see {log})")
        workers = ready(http)
        assert process.pid not in workers
        drawn = sure(6, seed=9)
        answer = http.post("/captionImageBlocking", files=files(*map(png, drawn)))
        assert answer.json()["result"] == [scene.caption for scene in drawn]
        (lost,) = (pid for pid, seen in workers.items() if seen == "1")
        os.kill(lost, signal.SIGKILL)
        until(
            lambda: sorted(ready(http).values()) == ["0", "1"] and lost not in ready(http),
            what=f"another worker of GPU 1 (see {log})",
        )
        pids = [*workers, *ready(http)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
        assert {each["pid"] for each in http.get("/workers").json()} <= {lost}  # it said no word
