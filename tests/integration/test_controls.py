"""Cancel, retry, deadlines and the list of workers, over HTTP."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from captioner.clock import now
from captioner.database import Database
from models import DeletedJob
from tests import processes
from tests.integration.alone import stack as stack
from tests.integration.calls import files, finished, problem
from tests.pictures import plain
from tests.stacks import Stack

COLOURS = ("red", "green", "blue", "white", "black", "grey")
PICTURES = [plain(colour) for colour in COLOURS]


SLEEPY = [sys.executable, "-m", "tests.sleepy"]
ENVIRONMENT = {
    "CAPTIONER_MODEL": "scenes",
    "CAPTIONER_MODELS": "scenes",
    "CAPTIONER_MAX_BATCH": "4",
    "CAPTIONER_HEARTBEAT_S": "1",
    "CAPTIONER_RECONCILE_S": "1",
    "CAPTIONER_DRAIN_S": "5",
}


@pytest.fixture(scope="module")
def door(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """An API without a worker."""
    folder = tmp_path_factory.mktemp("door")
    environment = {**stack.environment, **ENVIRONMENT}
    with (
        processes.service(environment, folder, workers=0, ready=False) as base,
        httpx.Client(base_url=base, timeout=60) as http,
    ):
        yield http


@contextmanager
def worker(
    door: httpx.Client, stack: Stack, folder: Path, *engine: str
) -> Iterator[subprocess.Popen]:
    """A worker whose engine sleeps so long over each batch."""
    log = folder / "worker.log"
    environment = {**stack.environment, **ENVIRONMENT}
    with processes.running([*SLEEPY, *engine], environment, log=log) as process:
        processes.until(lambda: door.get("/readyz").status_code == 200, what=f"worker ({log})")
        yield process


def submit(http: httpx.Client, *pictures: bytes) -> str:
    answer = http.post("/captionImage", files=files(*pictures))
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def test_a_job_that_waits_is_canceled_at_once_and_can_be_retried(door) -> None:
    url = submit(door, *PICTURES[:2])
    for _ in range(2):  # twice is once
        answer = door.post(f"{url}/cancel")
        assert answer.status_code == 200
        assert answer.json()["status"] == "canceled"
        assert {image["error"]["code"] for image in answer.json()["images"]} == {"canceled"}
    problem(door.post(f"{url}/retry?only=failed"), 409, "nothing_to_retry")
    again = door.post(f"{url}/retry")
    assert again.status_code == 202
    assert again.headers["Location"] == url
    assert (again.json()["status"], again.json()["counts"]["canceled"]) == ("queued", 0)
    assert problem(door.post(f"{url}/retry"), 409, "job_not_final")["job_status"] == "queued"
    door.post(f"{url}/cancel")


def test_what_is_not_there_cannot_be_controlled(door, database: Database) -> None:
    gone = uuid4()
    with database.write() as session:
        session.add(DeletedJob(id=gone, deleted_at=now(), reason="asked"))
    for verb in ("cancel", "retry"):
        problem(door.post(f"/captionImage/{uuid4()}/{verb}"), 404, "job_not_found")
        problem(door.post(f"/captionImage/nonsense/{verb}"), 404, "job_not_found")
        problem(door.post(f"/captionImage/{gone}/{verb}"), 410, "job_deleted")
        problem(door.post(f"/captionImage/{gone}/{verb}?a=b"), 422, "invalid_request")
    problem(door.post(f"/captionImage/{gone}/retry?only=all"), 422, "invalid_request")


def test_a_call_that_waits_hears_of_the_cancel_at_once(door) -> None:
    answers: list[tuple[httpx.Response, float]] = []

    def wait() -> None:
        answer = door.post("/captionImageBlocking?timeout=30", files=files(PICTURES[0]))
        answers.append((answer, time.monotonic()))

    before = {job["id"] for job in door.get("/captionImage").json()}
    thread = threading.Thread(target=wait)
    thread.start()
    new: list[str] = []
    processes.until(
        lambda: (
            bool(new.extend({j["id"] for j in door.get("/captionImage").json()} - before))
            or bool(new)
        ),
        what="job",
    )
    time.sleep(0.3)
    began = time.monotonic()
    assert door.post(f"/captionImage/{new[0]}/cancel").status_code == 200
    thread.join(10)
    answer, at = answers[0]
    body = problem(answer, 409, "canceled")
    assert body["id"] == new[0]
    print(f"waiter heard {1e3 * (at - began):.0f} ms after the cancel was sent")
    assert at - began < 0.9  # without the wake-up: up to a second


def test_a_waiter_whose_deadline_passed_hears_of_that(door, stack, tmp_path) -> None:
    with worker(door, stack, tmp_path, "60"):
        began = time.monotonic()
        answer = door.post(
            "/captionImageBlocking?timeout=60",
            files=files(PICTURES[0]),
            headers={"Cancel-After": "2"},
        )
        took_s = time.monotonic() - began
    problem(answer, 504, "deadline_passed")
    assert door.get(answer.headers["Location"]).json()["status"] == "expired"
    print(f"deadline of 2 s: the waiter heard of it after {took_s:.2f} s")
    assert 2 <= took_s < 4


def test_a_job_is_stopped_in_the_middle_of_its_captions(door, stack, tmp_path) -> None:
    with worker(door, stack, tmp_path, "60"):
        url = submit(door, *PICTURES)
        processes.until(lambda: door.get(url).json()["status"] == "running", what="start")
        time.sleep(0.5)
        began = time.monotonic()
        answer = door.post(f"{url}/cancel")
        assert answer.status_code == 202
        assert answer.json()["status"] == "canceling"
        processes.until(lambda: door.get(url).json()["status"] == "canceled", what="end")
        took_s = time.monotonic() - began
        assert door.get(url).json()["counts"]["canceled"] == len(PICTURES)
        print(f"canceled {took_s:.2f} s after it was asked for")
        assert took_s < 3
        problem(door.post(f"{url}/retry?only=failed"), 409, "nothing_to_retry")


def test_captions_made_before_a_cancel_are_kept_and_a_retry_makes_the_rest(
    door, stack, tmp_path
) -> None:
    with worker(door, stack, tmp_path, "1"):
        url = submit(door, *PICTURES)
        processes.until(lambda: door.get(url).json()["counts"]["succeeded"] > 0, what="captions")
        door.post(f"{url}/cancel")
        before = finished(door, url)
        assert before["status"] == "canceled"
        assert 0 < before["counts"]["succeeded"] < len(PICTURES)
        assert door.post(f"{url}/retry").status_code == 202
        after = finished(door, url)
    assert after["status"] == "succeeded"
    for old, new in zip(before["images"], after["images"], strict=True):
        assert new["caption"]
        if old["status"] == "succeeded":
            assert new == old
    problem(door.post(f"{url}/cancel"), 409, "job_final")
    problem(door.post(f"{url}/retry"), 409, "nothing_to_retry")


def test_workers_are_listed_with_what_they_do_and_say_when_they_go(door, stack, tmp_path) -> None:
    with worker(door, stack, tmp_path, "600", "deaf") as process:
        (listed,) = door.get("/workers").json()
        assert (listed["pid"], listed["device"]) == (process.pid, "cpu asleep")
        assert listed["host"]
        assert listed["models"] == {"scenes": {"state": "ready", "detail": None}}
        assert (listed["held"], listed["draining"]) == (0, False)
        url = submit(door, *PICTURES)
        processes.until(lambda: door.get("/workers").json()[0]["held"] == 6, what="held pictures")

        began = time.monotonic()
        process.terminate()
        processes.until(
            lambda: [each["draining"] for each in door.get("/workers").json()] == [True],
            what="word of the end",
            timeout_s=3,
        )
        print(f"draining is told after {time.monotonic() - began:.2f} s")
        assert door.get("/readyz").status_code == 503
        process.wait(20)
    assert door.get("/workers").json() == []
    assert door.post(f"{url}/cancel").json()["status"] == "canceled"  # handed back: at once
