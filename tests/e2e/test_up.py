"""`captioner up` as a person uses it: real processes, our own small model, real signals."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.processes import (
    CAPTIONER,
    ROOT,
    answers,
    environment,
    free_port,
    heed_ctrl_c,
    until,
)

START_S = 180
END_S = 75


class Home:
    """One running `captioner up` and what it printed."""

    def __init__(self, folder: Path, *options: str, **extra: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder.parent / f"output-{self.port}.txt"
        command = [CAPTIONER, "up", f"--data-dir={folder}", f"--port={self.port}"]
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                [*command, "--model=scenes", "--models=scenes", *options],
                cwd=ROOT,
                env=environment(extra),
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the test's own Ctrl-C is not for it
                preexec_fn=heed_ctrl_c,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.output.read_text()

    def await_line(self, pattern: str, *, timeout_s: float = START_S) -> re.Match[str]:
        def there() -> bool:
            ended = self.process.poll() is not None
            assert not ended or re.search(pattern, self.said), f"it ended:\n{self.said}"
            return re.search(pattern, self.said) is not None

        until(there, what=f"line with {pattern!r}", timeout_s=timeout_s)
        found = re.search(pattern, self.said)
        assert found
        return found

    def await_ready(self) -> None:
        self.await_line(r"Ready after \d+ s")

    def caption(self, name: str) -> str:
        """The caption of an example. Another one for each call: none must come from a cache."""
        with (ROOT / "examples" / name).open("rb") as picture:
            answer = httpx.post(
                f"{self.url}/captionImageBlocking", files={"images": picture}, timeout=90
            )
        assert answer.status_code == 200, answer.text
        (caption,) = answer.json()["result"]
        return str(caption)

    def processes(self) -> dict[int, str]:
        """Every process that was started with this data folder: id to command line."""
        mark = f"CAPTIONER_DATA_DIR={self.folder}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    found[int(entry.name)] = b" ".join(words).decode()
            except OSError:
                continue  # it ended meanwhile
        return found

    def supervisor(self) -> int:
        control = self.folder / "run" / "control"  # there when the folder's path is long
        at = control if control.exists() else control.parent
        return int((at / "supervisord.pid").read_text())

    def await_nothing_left(self, timeout_s: float = END_S) -> None:
        until(lambda: not self.processes(), what=f"end of {self.folder}", timeout_s=timeout_s)

    def worker(self) -> int:
        (found,) = (pid for pid, words in self.processes().items() if "cli.main worker" in words)
        return found


@contextmanager
def home(folder: Path, *options: str, **extra: str) -> Iterator[Home]:
    running = Home(folder, *options, **extra)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        running.await_nothing_left()  # `kill -9` of `up` leaves nothing: here for every test


def test_a_first_day(tmp_path: Path) -> None:
    """Start, caption, lose a worker, look at Flower, end with Ctrl-C, start again."""
    flower_port = free_port()
    with home(tmp_path / "d", "--flower", f"--flower-port={flower_port}") as first:
        first.await_ready()
        assert "red star" in first.caption("red-star.png")

        _is_refused_a_second_time(first)
        _is_seen_by_flower(first, flower_port)

        lost = first.worker()
        os.kill(lost, signal.SIGKILL)
        line = first.await_line(r"worker-1 ended and was started again \(process (\d+)\)")
        assert int(line[1]) == first.worker() != lost
        until(lambda: answers(f"{first.url}/readyz"), what="readiness", timeout_s=START_S)
        assert "blue circles" in first.caption("blue-circles.jpg")

        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(timeout=END_S) == 0, first.said
        ended = re.findall(r"^  (\S+) has ended", first.said, re.MULTILINE)
        assert ended == ["api", "flower", "worker-1", "valkey"]
        assert first.processes() == {}

    with home(tmp_path / "d") as second:
        second.await_ready()
        jobs = httpx.get(f"{second.url}/captionImage").json()
        assert [job["status"] for job in jobs] == ["succeeded"] * 3

        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(timeout=END_S) == 0, second.said


def _is_refused_a_second_time(running: Home) -> None:
    again = [CAPTIONER, "up", f"--data-dir={running.folder}", f"--port={running.port}"]
    answer = subprocess.run(again, cwd=ROOT, env=environment({}), capture_output=True, text=True)
    assert answer.returncode == 1
    assert f"Another captioner (process {running.process.pid})" in answer.stderr


def _is_seen_by_flower(running: Home, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    until(lambda: answers(f"{url}/healthcheck"), what="Flower", timeout_s=START_S)
    assert httpx.get(f"{url}/api/tasks").status_code == 401
    secret = re.search(r"user captioner, password (\S+)", running.said)
    assert secret
    with httpx.Client(base_url=url, auth=("captioner", secret[1])) as client:
        running.caption("purple-triangle.gif")  # one that Flower saw from its start
        until(lambda: client.get("/api/tasks").json(), what="task in Flower")
        for task in client.get("/api/tasks").json().values():
            # nothing but a job's id, positions in it, and its model
            assert re.fullmatch(r"\('[0-9a-f-]{36}', \[[0-9, ]*\]\)", task["args"]), task["args"]
            assert task["kwargs"] == "{'model': 'scenes'}"


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    with home(tmp_path / "d") as running:
        running.await_line("Waiting: (No worker|The model)")
        running.process.send_signal(signal.SIGINT)
        running.await_line("Draining")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=5) == 130, running.said
        running.await_nothing_left(timeout_s=5)


def test_kill_9_leaves_nothing_in_whatever_folder(tmp_path: Path) -> None:
    with home(tmp_path / ("100% mine ;" + "x" * 90), "--workers=2") as running:
        running.await_ready()
        assert "yellow hearts" in running.caption("yellow-hearts.webp")

        running.process.kill()
        running.process.wait()
        running.await_nothing_left()
        control = (running.folder / "run" / "control").readlink()
        assert not list(control.glob("*.sock"))
        shutil.rmtree(control)


def test_the_end_of_the_supervisor_ends_everything(tmp_path: Path) -> None:
    with home(tmp_path / "d") as running:
        running.await_line("Waiting: (No worker|The model)")
        os.kill(running.supervisor(), signal.SIGKILL)
        assert running.process.wait(timeout=15) == 1, running.said
        assert "The supervisor of the parts has ended" in running.said
        running.await_nothing_left(timeout_s=5)


def test_kill_9_of_everything_that_watches_leaves_nothing_either(tmp_path: Path) -> None:
    with home(tmp_path / "d") as running:
        running.await_ready()
        os.kill(running.supervisor(), signal.SIGKILL)
        running.process.kill()

        def parts() -> list[str]:
            return [w for w in running.processes().values() if "valkey-server" not in w]

        until(lambda: not parts(), what="end of the parts", timeout_s=END_S)

        with home(running.folder) as next_one:  # takes the files over from the old server
            next_one.await_ready()
            next_one.process.terminate()
            assert next_one.process.wait(timeout=END_S) == 0, next_one.said


def test_a_part_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "d" / "valkey" / "appendonlydir").mkdir(parents=True)
    manifest = tmp_path / "d" / "valkey" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    with home(tmp_path / "d") as running:
        assert running.process.wait(timeout=END_S) == 1
        assert "valkey keeps ending. The last lines of" in running.said
        assert "AOF manifest" in running.said
        assert running.processes() == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "nope"], "There is no model named 'nope'"),
        (["--port", "99999"], "CAPTIONER_PORT=99999"),
        (["--host", "192.0.2.1"], "not an address of this machine"),
        (["--data-dir", "/proc/nowhere"], "cannot be used"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line(
    tmp_path: Path, options: list[str], message: str
) -> None:
    command = [CAPTIONER, "up", f"--data-dir={tmp_path}", "--model=scenes", *options]
    answer = subprocess.run(command, env=environment({}), capture_output=True, text=True)
    assert answer.returncode == 1
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
