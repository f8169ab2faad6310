"""Rows 31 and 32 of the fault matrix: whoever writes the styles fails, in every way at once.

Each job is one picture that wants all styles. Every line printed is one measured figure: what each
styled picture waited beyond its plain caption, and how often the styler was asked.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from captioner import schema
from captioner.database import Database
from models import Job, JobImage
from tests import stacks
from tests.faults.report import Row
from tests.gemini_server import (
    BUSY,
    DOWN,
    ENDLESS,
    GARBAGE,
    HANGS,
    NO_CANDIDATES,
    NO_JSON,
    PROMPT_BLOCKED,
    RESET,
    TRUNCATED,
    UNSAFE,
    GeminiServer,
    Trouble,
    retry_info,
    serving,
)
from tests.integration.calls import files
from tests.integration.conftest import settings_of
from tests.integration.styling import environment
from tests.pictures import plain
from tests.processes import service, until
from worker.styling.brief import RULES

SIZES = [
    pytest.param(80, id="short"),
    pytest.param(1_000, id="long", marks=pytest.mark.long),
]
MOST_S = 20.0
"""What a picture may wait for styles that do not come, in 95 of 100 cases."""
MOST_CALLS = 10
"""Once it is known that the styler fails."""
APART_S = 30.0
"""Between two calls with a key that is refused."""
SLACK_S = 0.5
"""Between the moment at which a call was decided on, and that at which it came."""
ECHO = Trouble(text=RULES)
USELESS = (NO_JSON, GARBAGE, TRUNCATED, NO_CANDIDATES, UNSAFE, PROMPT_BLOCKED, ENDLESS, ECHO)
EVERY_WAY = (
    *USELESS, BUSY, Trouble(status=500), DOWN, RESET, HANGS,
    Trouble(status=429, details=(retry_info("40s"),)),
)  # fmt: skip
KINDS = {
    "every way in turn": lambda number: EVERY_WAY[number % len(EVERY_WAY)],
    "answers of no use": lambda number: USELESS[number % len(USELESS)],
    "hangs": HANGS,
    "503 after 30 good ones": lambda number: DOWN if number >= 30 else None,
}
LEFT_ALONE = re.compile(r"^(\S+ \S+),(\d+) .*is left alone", re.MULTILINE)


class Place:
    """A service, its database, and what its worker wrote."""

    def __init__(self, base: str, database: Database, log: Path) -> None:
        self.base, self.database, self.log = base, database, log

    def post(self, jobs: int) -> None:
        with httpx.Client(base_url=self.base, timeout=60) as http:
            for _ in range(jobs):
                sent = {"files": files(plain()), "data": {"styles": "all"}}
                assert http.post("/captionImage", **sent).status_code == 202

    def settle(self, *, timeout_s: float) -> None:
        def left() -> int:
            with self.database.read() as session:
                return len(session.scalars(select(Job.id).where(Job.finished_at.is_(None))).all())

        until(lambda: left() == 0, what="end of all jobs", timeout_s=timeout_s)

    def images(self) -> list:
        with self.database.read() as session:
            return list(
                session.execute(
                    select(
                        JobImage.state,
                        JobImage.caption,
                        JobImage.style_status,
                        JobImage.style_code,
                        JobImage.published_at,
                        JobImage.finished_at,
                    )
                )
            )

    def opened(self) -> float | None:
        """When the worker first left its styler alone."""
        found = LEFT_ALONE.search(self.log.read_text())
        if found is None:
            return None
        return datetime.fromisoformat(found[1]).timestamp() + int(found[2]) / 1_000


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    with serving() as server:
        yield server


@pytest.fixture
def place(gemini: GeminiServer, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        running = stack.enter_context(stacks.started("sqlite-valkey", tmp_path))
        schema.upgrade(settings_of(running))
        env = environment(running, gemini, log_format="text")
        base = stack.enter_context(service(env, tmp_path, timeout_s=240))
        database = Database(running.database_url)
        stack.callback(database.close)
        yield Place(base, database, tmp_path / "worker.log")


def p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def figures(place: Place, gemini: GeminiServer) -> tuple[list[float], int]:
    """Seconds beyond the plain caption of each, and the calls once it was left alone."""
    images = place.images()
    waited = [(image.finished_at - image.published_at).total_seconds() for image in images]
    opened = place.opened()
    if opened is None:
        return waited, 0
    return waited, sum(asked.at > opened + SLACK_S for asked in gemini.asked)


@pytest.mark.parametrize("jobs", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_styler_that_fails_costs_no_picture_and_little_time(
    place: Place, gemini: GeminiServer, kind: str, jobs: int, tell
) -> None:
    gemini.always = KINDS[kind]
    place.post(jobs)
    place.settle(timeout_s=60 + jobs)
    images = place.images()
    waited, after = figures(place, gemini)
    codes = Counter(image.style_code for image in images)
    print(
        f"\n  styler, {kind}: {jobs} jobs, {len(gemini.asked)} calls, {after} once left alone; "
        f"waited p50 {sorted(waited)[jobs // 2]:.1f} s, p95 {p95(waited):.1f} s, "
        f"most {max(waited):.1f} s; {dict(codes)}"
    )
    tell([Row("styling", kind, jobs, jobs, lost=0, wrong=0, extra_runs=len(gemini.asked),
              recovered_s=f"{p95(waited):.1f}")])  # fmt: skip
    assert [image.state for image in images] == ["succeeded"] * jobs
    assert all(image.caption for image in images)
    assert place.opened() is not None
    assert after <= MOST_CALLS
    assert p95(waited) <= MOST_S
    well = 30 if kind.startswith("503") else 0
    statuses = Counter(image.style_status for image in images)
    assert statuses == Counter({"fallback": jobs - well, "styled": well})


@pytest.mark.parametrize("jobs", SIZES)
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_shown_seldom(
    place: Place, gemini: GeminiServer, status: int, jobs: int, tell
) -> None:
    gemini.always = Trouble(status=status)
    began, rounds = time.monotonic(), 1 if jobs < 1_000 else 5
    for number in range(rounds):
        while number and time.monotonic() - began < number * 25:
            time.sleep(0.1)
        place.post(jobs // rounds)
    place.settle(timeout_s=60 + jobs)
    images = place.images()
    waited, _ = figures(place, gemini)
    calls = [asked.at for asked in gemini.asked]
    gaps = [later - earlier for earlier, later in pairwise(calls)]
    print(
        f"\n  styler, key refused ({status}): {jobs} jobs in {time.monotonic() - began:.0f} s, "
        f"{len(calls)} calls, {' '.join(f'{gap:.0f}' for gap in gaps) or 'no'} s apart; "
        f"waited p95 {p95(waited):.1f} s"
    )
    tell([Row("styling", f"key refused ({status})", jobs, jobs, lost=0, wrong=0,
              extra_runs=len(calls), recovered_s=f"{p95(waited):.1f}")])  # fmt: skip
    assert {(image.state, image.style_code) for image in images} == {
        ("succeeded", "styler_refused")
    }
    assert all(gap >= APART_S - SLACK_S for gap in gaps)
    assert len(calls) == 1 or jobs >= 1_000
    assert p95(waited) <= MOST_S
