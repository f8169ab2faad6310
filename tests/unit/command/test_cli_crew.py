"""One worker for each GPU: which there are, what each sees, and what becomes of one that ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from cli import gpus
from tests.processes import CAPTIONER, ROOT, environment, free_port, heed_ctrl_c, until

RUN = """
import sys
from cli.crew import Crew
sys.exit(Crew(sys.argv[1].split(","), command=[sys.executable, "-c", sys.argv[2]], stop_s=3).run())
"""
SLEEPER = """
import os, pathlib, time
pathlib.Path(os.environ["SEEN"], str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER


class Running:
    def __init__(self, folder: Path, code: str, names: str) -> None:
        self.seen = folder / "seen"
        self.seen.mkdir()
        self.log = folder / "log"
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, names, code],
                cwd=ROOT,
                env={**os.environ, "SEEN": str(self.seen)},
                stderr=sink,
                start_new_session=True,
                preexec_fn=heed_ctrl_c,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def workers(self) -> dict[int, str]:
        """Those that run: process to what it sees."""
        found = {int(file.name): file.read_text() for file in self.seen.iterdir()}
        return {pid: seen for pid, seen in found.items() if seen and alive(pid)}

    def await_workers(self, *names: str) -> dict[int, str]:
        wanted = sorted(names)
        until(lambda: sorted(self.workers().values()) == wanted, what=f"workers of {names}")
        return self.workers()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def crew(folder: Path, code: str = SLEEPER, names: str = "0,GPU-5f2") -> Iterator[Running]:
    running = Running(folder, code, names)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        until(lambda: not running.workers() or code == STUBBORN, what="end of the workers")


def test_each_worker_sees_one_gpu_and_all_end_on_sigterm(tmp_path: Path) -> None:
    with crew(tmp_path) as running:
        running.await_workers("0", "GPU-5f2")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) == 0
        assert running.workers() == {}
        assert "The worker of GPU GPU-5f2 has ended." in running.said


def test_one_that_ends_is_started_again_for_the_same_gpu(tmp_path: Path) -> None:
    with crew(tmp_path) as running:
        first = running.await_workers("0", "GPU-5f2")
        (killed,) = (pid for pid, seen in first.items() if seen == "0")
        os.kill(killed, signal.SIGKILL)
        until(lambda: not alive(killed), what="end")
        again = running.await_workers("0", "GPU-5f2")
        assert len(set(again) & set(first)) == 1
        assert "The worker of GPU 0 ended (by SIGKILL). It is started again in 1 s." in running.said


def test_a_pause_grows_and_in_the_end_it_is_given_up(tmp_path: Path) -> None:
    began = time.monotonic()
    with crew(tmp_path, code="raise SystemExit(7)") as running:
        assert running.process.wait(30) == 1
        assert time.monotonic() - began > 1 + 2
        assert running.said.count("The worker of GPU 0 ended (exit code 7)") == 3
        for pause in (1, 2, 4):
            assert f"started again in {pause} s" in running.said
        assert "Every worker ended 3 times" in running.said


def test_one_gpu_that_is_broken_leaves_the_others_at_work(tmp_path: Path) -> None:
    broken = "import os; assert os.environ['CUDA_VISIBLE_DEVICES'] != '0'\n" + SLEEPER
    with crew(tmp_path, code=broken) as running:
        until(lambda: "again in 4 s" in running.said, what="third failure", timeout_s=30)
        time.sleep(1)
        assert running.process.poll() is None
        running.await_workers("GPU-5f2")


def test_one_that_does_not_end_is_killed_and_named(tmp_path: Path) -> None:
    with crew(tmp_path, code=STUBBORN, names="0") as running:
        (pid,) = running.await_workers("0")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(15) == 0
        until(lambda: not alive(pid), what="end")
        assert "The worker of GPU 0 did not end within 3 s and is killed." in running.said


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    with crew(tmp_path, code=STUBBORN, names="0") as running:
        (pid,) = running.await_workers("0")
        running.process.send_signal(signal.SIGINT)
        until(lambda: "Draining" in running.said, what="first answer")
        began = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(5) == 130
        assert time.monotonic() - began < 2
        until(lambda: not alive(pid), what="end")


def test_workers_do_not_outlive_a_killed_crew(tmp_path: Path) -> None:
    with crew(tmp_path) as running:
        running.await_workers("0", "GPU-5f2")
        running.process.kill()
        until(lambda: not running.workers(), what="end of the workers", timeout_s=10)


@pytest.mark.parametrize(
    ("count", "named", "expected"),
    [
        (2, None, ["0", "1"]),
        (2, "3,5", ["3", "5"]),
        (1, "3,nonsense,5", ["3"]),
        (2, "GPU-5f2, MIG-7a", ["GPU-5f2", "MIG-7a"]),
    ],
)
def test_gpus_are_called_as_cuda_calls_them(
    count: int, named: str | None, expected: list[str]
) -> None:
    assert gpus.names(count, named) == expected


@pytest.mark.parametrize("text", ["", "0,,1", "0,0", "cuda:1", "-1"])
def test_a_list_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        gpus.listed(text)


@pytest.mark.parametrize("command", ["worker", "up"])
def test_without_a_gpu_it_says_what_to_do(command: str, tmp_path: Path) -> None:
    place = {"CAPTIONER_DATA_DIR": str(tmp_path), "CAPTIONER_PORT": str(free_port())}
    asked = subprocess.run(
        [CAPTIONER, command, "--per-gpu"],
        cwd=ROOT,
        env=environment({"CUDA_VISIBLE_DEVICES": "", **place}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 1
    assert asked.stderr.startswith("Error: PyTorch sees no GPU")
    assert "nvidia-smi" in asked.stderr


def test_a_device_that_no_pinned_worker_has_is_refused() -> None:
    asked = subprocess.run(
        [CAPTIONER, "worker", "--gpus", "0,1", "--device", "cuda:1"],
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 2
    assert "leave it out" in asked.stderr
