"""Whatever a picture does to the child that decodes it, its neighbours go on."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from captioner import errors
from tests.unit.decoding import LIMITS, ROOT, SIZE, child_pid, picture, pool, result, segments
from worker.decode_child import decode_and_fit


@pytest.fixture(scope="module")
def shared():
    with pool() as running:
        yield running


@pytest.mark.parametrize(
    ("poison", "cause"),
    [(b"crash", "crashed on it .SIGSEGV"), (b"exit", "exit code 3"), (b"eat", "more memory")],
)
def test_a_poison_picture_fails_alone(shared, poison, cause):
    before = [shared.submit(picture(seed), size=SIZE) for seed in range(6)]
    bad = shared.submit(poison, size=SIZE)
    after = [shared.submit(picture(seed), size=SIZE) for seed in range(6)]
    with pytest.raises(errors.ImageUndecodable, match=cause):
        result(bad)
    for seed, future in enumerate([*before, *after]):
        expected = decode_and_fit(picture(seed % 6), SIZE, LIMITS)
        assert np.array_equal(result(future).pixels, expected)


def test_one_poison_picture_after_another_is_survived(shared):
    order = [b"crash", picture(1)] * 3
    futures = [shared.submit(data, size=SIZE) for data in order]
    for data, future in zip(order, futures, strict=True):
        if data == b"crash":
            with pytest.raises(errors.ImageUndecodable):
                result(future)
        else:
            assert result(future).pixels.shape == (*SIZE, 3)


@pytest.mark.parametrize("poison", [b"hang", b"hang in C"])
def test_a_hanging_picture_is_stopped_in_time(poison):
    with pool(timeout_s=0.5) as running:
        started = time.monotonic()
        hanging = running.submit(poison, size=SIZE)
        others = [running.submit(picture(seed), size=SIZE) for seed in range(4)]
        with pytest.raises(errors.ImageUndecodable, match=r"longer than 0\.5 seconds"):
            result(hanging)
        assert time.monotonic() - started < 3
        assert all(result(other).pixels.shape == (*SIZE, 3) for other in others)
        assert result(running.submit(picture(), size=SIZE)).decode_ms > 0


def granted(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).removeprefix(what).split()[0])


def test_processor_time_is_granted_for_each_picture_anew():
    with pool(processes=1, timeout_s=5) as running:
        pid = child_pid(running)
        at_first = granted(pid, "Max cpu time")
        result(running.submit(b"burn", size=SIZE))
        assert child_pid(running) == pid
        assert 6 <= at_first < granted(pid, "Max cpu time") <= 10


def test_address_space_and_core_files_are_limited():
    with pool(processes=1) as running:
        pid = child_pid(running)
        assert 2**30 < granted(pid, "Max address space") < 2**30 + 2**32
        assert granted(pid, "Max core file size") == 0


def test_a_child_that_dies_idle_costs_no_picture():
    with pool(processes=1) as running:
        for pause_s in (0, 0.5):
            os.kill(child_pid(running), signal.SIGKILL)
            time.sleep(pause_s)
            assert result(running.submit(picture(), size=SIZE)).pixels.shape == (*SIZE, 3)


def test_a_fault_of_ours_is_not_blamed_on_the_picture(shared):
    with pytest.raises(ValueError, match="shape"):
        result(shared.submit(b"misshape", size=SIZE))


@pytest.mark.parametrize("last", [b"pid", b"hang"])
def test_children_and_memory_go_when_the_parent_is_killed(tmp_path, last):
    script = tmp_path / "main.py"
    script.write_text(
        "import os, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.unit import decoding as t\n"
        "p = t.pool(processes=1, timeout_s=1)\n"
        "p.start()\n"
        "pid = t.child_pid(p)\n"
        "assert t.segments(os.getpid())\n"
        "print(pid, flush=True)\n"
        f"p.submit({last!r}, size=t.SIZE)\n"
        "time.sleep(0.3)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    with parent, parent.stdout:
        child = Path("/proc", parent.stdout.readline().strip())
    deadline = time.monotonic() + 20
    while child.exists() or segments(parent.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_child_that_cannot_start_is_told_at_the_start():
    broken = pool(processes=1, memory_bytes=2**80)
    with pytest.raises(BrokenProcessPool):
        broken.start()
    with pytest.raises(errors.ShuttingDown):
        broken.submit(picture(), size=SIZE)
