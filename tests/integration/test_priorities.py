"""On real brokers and workers: high before normal, normal before low, and small before large."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from captioner.database import Database
from models import Job, JobImage
from tests import processes
from tests.empty import emptied
from tests.integration.calls import FINAL, files
from tests.pictures import plain
from tests.stacks import Stack

SERVED = {"CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes"}
EACH, LARGE = 40, 600
OUT_OF_TURN = 0.02
"""Claims that are made at the same time may be noted in another order: few of all pairs."""


@pytest.fixture
def own(stack: Stack, tmp_path: Path) -> Iterator[Stack]:
    with emptied(stack, tmp_path) as emptied_stack:
        yield emptied_stack


def send(base: str, count: int = 1, **fields: str) -> str:
    posted = httpx.post(
        f"{base}/captionImage", files=files(*[plain()] * count), data=fields, timeout=60
    )
    assert posted.status_code == 202, posted.text
    return base + posted.headers["Location"]


def wait_for(urls: list[str], *, timeout_s: float = 120) -> None:
    for url in urls:
        processes.until(
            lambda url=url: httpx.get(url).json()["status"] in FINAL,
            what="end of the job",
            timeout_s=timeout_s,
        )


def test_a_backlog_is_worked_on_by_priority(own, tmp_path) -> None:
    with processes.service(own.environment, tmp_path, workers=0, ready=False) as base:
        urls = [
            send(base, priority=priority)
            for _ in range(EACH)
            for priority in ("low", "normal", "high")
        ]
        command = [processes.CAPTIONER, "worker"]
        environment = {**SERVED, **own.environment}
        with processes.running(command, environment, log=tmp_path / "worker.log"):
            wait_for(urls)
        last = httpx.get(urls[0]).json()
    database = Database(own.database_url)
    with database.read() as session:
        ended = session.scalars(
            select(Job.priority)
            .join(JobImage, JobImage.job_id == Job.id)
            .order_by(JobImage.started_at)
        ).all()
    database.close()
    assert last["status"] == "succeeded"
    assert len(ended) == 3 * EACH
    pairs = [(a, b) for a, b in combinations(ended, 2) if a != b]
    wrong = sum(a < b for a, b in pairs)
    print(f"{own.name}: {wrong} of {len(pairs)} pairs out of turn")
    assert wrong <= OUT_OF_TURN * len(pairs)


def test_a_single_image_does_not_wait_for_a_large_job_and_is_told_when(own, tmp_path) -> None:
    environment = {**own.environment, "CAPTIONER_HEARTBEAT_S": "2"}
    with processes.service(environment, tmp_path) as base:
        wait_for([send(base, 40)])  # the worker learns its pace
        processes.until(
            lambda: "captioner_seconds_per_image{" in httpx.get(f"{base}/metrics").text,
            what="measured pace",
        )
        large = send(base, LARGE)
        told = httpx.get(large).json()
        singles = [send(base) for _ in range(5)]
        wait_for(singles)
        left = httpx.get(large).json()["counts"]["unfinished"]
        wait_for([large])
        ended = httpx.get(large).json()
        told_of_error = httpx.get(f"{base}/metrics").text
    print(f"{own.name}: {left} of {LARGE} images were left when 5 singles had ended")
    print(f"eta {told['eta_s']:.1f} s; expected {told['expected_at']}, was {ended['finished_at']}")
    assert left > 0
    assert told["eta_s"] > 0
    assert told["expected_at"] > told["created_at"]
    assert ended["eta_s"] is ended["images_ahead"] is ended["queue_position"] is None
    assert 'captioner_eta_ratio{quantile="0.5"}' in told_of_error
