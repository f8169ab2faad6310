"""Requests with an Idempotency-Key, sent by callers that cannot know what became of the first."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
from sqlalchemy import func, select

from captioner.database import Database
from models import IdempotencyKey, Job
from tests import processes
from tests.pictures import plain

PATIENCE_S = 60.0
TRY_AGAIN = (409, 429, 503)


@dataclass
class Answers:
    """What the callers of many keys saw."""

    jobs: dict[str, set[str]] = field(default_factory=dict)
    """Key to the ids of the jobs that were told for it."""
    statuses: Counter[str] = field(default_factory=Counter)

    def note(self, key: str, response: httpx.Response) -> None:
        self.statuses[str(response.status_code)] += 1
        if response.status_code == 202:
            self.jobs.setdefault(key, set()).add(response.json()["id"])


def keys(count: int) -> list[str]:
    return [str(uuid4()) for _ in range(count)]


def post(client: httpx.Client, key: str, *, picture: bytes) -> httpx.Response:
    return client.post(
        "/captionImage", files=[("images", ("a.png", picture))], headers={"Idempotency-Key": key}
    )


def send_all_at_once(base: str, keys: Sequence[str], *, times: int) -> Answers:
    """Each key so many times at once, one key after the other."""
    answers, picture = Answers(), plain()
    limits = httpx.Limits(max_connections=times)
    with (
        httpx.Client(base_url=base, timeout=60, limits=limits) as client,
        ThreadPoolExecutor(times) as pool,
    ):
        for key in keys:
            sent = [pool.submit(post, client, key, picture=picture) for _ in range(times)]
            for each in sent:
                answers.note(key, each.result())
    return answers


def send_until_accepted(base: str, keys: Sequence[str], *, callers: int) -> Answers:
    """Each key again and again until it is accepted, and then once more."""
    answers, picture = Answers(), plain()

    def insist(key: str) -> None:
        with httpx.Client(base_url=base, timeout=30) as client:
            for _ in range(2):
                _insist(client, key, picture, answers)

    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(insist, keys))
    return answers


def _insist(client: httpx.Client, key: str, picture: bytes, answers: Answers) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            response = post(client, key, picture=picture)
        except httpx.HTTPError:
            answers.statuses["cut off"] += 1
        else:
            answers.note(key, response)
            if response.status_code not in TRY_AGAIN:
                return
        time.sleep(0.05)
    raise AssertionError(f"not accepted within {PATIENCE_S:g} s")


def jobs_made(database: Database, keys: Sequence[str]) -> int:
    """How many jobs are stored for these keys, all together; for one that is not there, none."""
    with database.read() as session:
        named = select(IdempotencyKey.job_id).where(IdempotencyKey.key.in_(keys))
        found = session.scalar(select(func.count()).where(Job.id.in_(named)))
        overall = session.scalar(select(func.count()).select_from(Job))
    assert found == overall, "a job without its key"
    return overall or 0


def dying_api(environment: Mapping[str, str], folder: Path, *, last: int, port: int):
    """An API whose processes each die before their `last` commit."""
    command = [sys.executable, "-m", "tests.faults.before_commit", str(last)]
    extra = {
        "CAPTIONER_MODEL": "scenes",
        "CAPTIONER_MODELS": "scenes",
        **environment,
        "CAPTIONER_PORT": str(port),
    }
    return processes.running(command, extra, log=folder / "api.log")
