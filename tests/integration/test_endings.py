"""A worker ends in time, whatever its engine does, and another one does what it held."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests import processes
from tests.integration.alone import stack as stack
from tests.integration.calls import files, finished
from tests.pictures import plain
from tests.stacks import Stack
from worker.ending import EXIT_CODE
from worker.watchdog import EXIT_CODE as HUNG

PICTURES = [plain(colour) for colour in ("red", "green", "blue", "white", "black", "grey")]
DRAIN_S, HANG_S = 5.0, 3.0


@pytest.fixture
def environment(stack: Stack) -> dict[str, str]:
    return {
        **stack.environment,
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_MODELS": "scenes",
        "CAPTIONER_MAX_BATCH": "4",
        "CAPTIONER_LEASE_S": "4",
        "CAPTIONER_RECONCILE_S": "1",
        "CAPTIONER_HEARTBEAT_S": "1",
        "CAPTIONER_DRAIN_S": str(DRAIN_S),
    }


@pytest.fixture
def http(environment, tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        processes.service(environment, tmp_path, workers=0, ready=False) as base,
        httpx.Client(base_url=base, timeout=60) as client,
    ):
        yield client


@contextmanager
def worker(environment, folder: Path, *engine: str, **more: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "tests.sleepy", *engine]
    with processes.running(command, {**environment, **more}, log=folder / "worker.log") as process:
        yield process


def held(http: httpx.Client) -> int:
    return sum(each["held"] for each in http.get("/workers").json())


def test_a_worker_whose_engine_hangs_goes_when_it_is_told_to(environment, http, tmp_path) -> None:
    with worker(environment, tmp_path, "600", "deaf", CAPTIONER_LEASE_S="30") as first:
        url = http.post("/captionImage", files=files(*PICTURES)).headers["Location"]
        processes.until(lambda: held(http) == len(PICTURES), what="held pictures")
        told = time.monotonic()
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == EXIT_CODE
        gone_s = time.monotonic() - told
    images = http.get(url).json()["images"]
    assert {image["status"] for image in images} == {"queued"}
    with worker(environment, tmp_path, "0.1"):
        job = finished(http, url)
        again_s = time.monotonic() - told
    assert job["status"] == "succeeded"
    print(f"gone after {gone_s:.1f} s of at most {DRAIN_S:g}; done elsewhere after {again_s:.1f} s")
    assert gone_s <= DRAIN_S


def test_a_busy_worker_ends_after_its_batch_and_hands_back_the_rest(
    environment, http, tmp_path
) -> None:
    with worker(environment, tmp_path, "1") as first:
        url = http.post("/captionImage", files=files(*PICTURES * 4)).headers["Location"]
        processes.until(
            lambda: http.get(url).json()["counts"]["succeeded"] > 0, what="first captions"
        )
        told = time.monotonic()
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
        gone_s = time.monotonic() - told
    assert http.get(url).json()["counts"]["unfinished"] > 0
    with worker(environment, tmp_path, "0.1"):
        job = finished(http, url)
    assert job["counts"]["succeeded"] == len(PICTURES) * 4
    print(f"gone after {gone_s:.1f} s; its batch takes 1 s")
    assert gone_s < DRAIN_S


def test_a_hung_engine_is_seen_within_twice_its_time_and_nothing_is_lost(
    environment, http, tmp_path
) -> None:
    more = {"CAPTIONER_HANG_S": str(HANG_S)}
    with worker(environment, tmp_path, "600", "deaf", **more) as first:
        url = http.post("/captionImage", files=files(*PICTURES)).headers["Location"]
        processes.until(lambda: held(http) == len(PICTURES), what="held pictures")
        began = time.monotonic()
        assert first.wait(30) == HUNG
        seen_s = time.monotonic() - began
    with worker(environment, tmp_path, "0.1"):
        job = finished(http, url)
        done_s = time.monotonic() - began
    assert job["status"] == "succeeded"
    assert all(job["result"])
    print(f"seen after {seen_s:.1f} s, of {HANG_S:g} allowed; all done after {done_s:.1f} s")
    assert seen_s <= 2 * HANG_S
