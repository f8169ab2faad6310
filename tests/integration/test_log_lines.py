"""From an answer to the lines about it: in the logs of real processes, as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.calls import files, finished, problem
from tests.pictures import plain
from tests.processes import service, until
from tests.stacks import Stack

REQUEST_ID = "trace-7.a:b"


@pytest.fixture(scope="module")
def place(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, Path]]:
    folder: Path = tmp_path_factory.mktemp("lines")
    environment = {**stack.environment, "CAPTIONER_LOG_FORMAT": "json"}
    with service(environment, folder) as base, httpx.Client(base_url=base, timeout=60) as http:
        yield http, folder


def lines(log: Path) -> list[dict[str, str]]:
    """Celery's farewell is no log line."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def about(log: Path, **marks: str) -> list[str]:
    """What happened, by the lines of a log that have these marks."""
    return [
        str(line.get("action")) for line in lines(log)
        if all(line.get(name) == value for name, value in marks.items())
    ]  # fmt: skip


def test_a_request_leads_to_its_job_and_the_job_to_the_lines_of_workers(place) -> None:
    http, folder = place
    broken = plain(width=320)[:-40]
    accepted = http.post(
        "/captionImage", files=files(plain(), broken), headers={"X-Request-ID": REQUEST_ID}
    )
    job_id = accepted.json()["id"]
    assert finished(http, accepted.headers["Location"])["status"] == "partial"

    assert accepted.headers["X-Request-ID"] == REQUEST_ID
    assert about(folder / "api.log", request_id=REQUEST_ID, job_id=job_id) == ["job_accepted"]
    until(lambda: bool(about(folder / "worker.log", job_id=job_id)), what="line of a worker")
    assert about(folder / "worker.log", job_id=job_id) == ["image_bad"]


def test_a_fault_leads_to_its_line(place) -> None:
    http, folder = place
    picture = {"file": ("a.png", plain(), "image/png")}
    refused = http.post("/upload_image/", files=picture, headers={"X-Request-ID": "fault-1"})

    problem(refused, 503, "styler_unconfigured")
    assert refused.json()["request_id"] == "fault-1"
    assert about(folder / "api.log", request_id="fault-1") == ["request_failed"]
