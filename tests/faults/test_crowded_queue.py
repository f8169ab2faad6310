"""What admission, a forecast and a scrape cost with a million jobs that have ended.

Prints the figures. Takes some minutes: it is not among the tests of every change.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from captioner import admission, forecast, metrics, queries, schema
from captioner.clock import at
from captioner.database import Database
from models import Priority
from tests import stacks
from tests.integration.conftest import settings_of

pytestmark = pytest.mark.long

ENDED, WAITING, CALLERS = 1_000_000, 100_000, 50
NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS"
    " (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})",
    "postgresql": "WITH n AS (SELECT generate_series({first}, {last}) AS i)",
}
IDS = {
    "sqlite": "printf('{prefix}%024d', i)",
    "postgresql": "('{prefix}' || lpad(i::text, 24, '0'))::uuid",
}
AT_ONCE = 20_000
"""Rows of one statement: none may take longer than the service waits for its database."""
CREATED = "'2026-01-01 00:00:00.000000'"


def fill(database: Database, *, count: int, prefix: str, state: str) -> None:
    """So many jobs of one image in this state."""
    for first in range(1, count + 1, AT_ONCE):
        fill_some(database, first, min(count, first + AT_ONCE - 1), prefix=prefix, state=state)


def fill_some(database: Database, first: int, last: int, *, prefix: str, state: str) -> None:
    dialect = database.engine.dialect.name
    numbers = NUMBERS[dialect].format(first=first, last=last)
    ids = IDS[dialect].format(prefix=prefix)
    ended = state == "succeeded"
    finished, caption = (CREATED, "'it'") if ended else ("NULL", "NULL")
    false = "false" if dialect == "postgresql" else "0"
    with database.write() as session:
        session.execute(
            text(
                f"{numbers} INSERT INTO jobs (id, state, model, image_count, succeeded_count,"
                " failed_count, created_at, finished_at, caller)"
                f" SELECT {ids}, '{state}', 'scenes', 1, {int(ended)}, 0, {CREATED}, {finished},"
                f" 'caller ' || (i % {CALLERS}) FROM n"
            )
        )
        session.execute(
            text(
                f"{numbers} INSERT INTO job_images (job_id, position, state, model, rank, caption,"
                " attempt, cached)"
                f" SELECT {ids}, 0, '{state}', 'scenes', i, {caption}, 1, {false} FROM n"
            )
        )


def median_ms(call: Callable[[], object], *, times: int = 9) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return sorted(taken)[times // 2]


@pytest.mark.parametrize("name", stacks.NAMES)
def test_a_million_ended_jobs_do_not_slow_admission(name: str, tmp_path: Path) -> None:
    with stacks.started(name, tmp_path) as stack:
        settings = settings_of(stack)
        schema.upgrade(settings)
        database = Database(stack.database_url)
        figures = {}
        for label, count, prefix, state in (
            ("empty", 0, "", ""),
            (f"{ENDED} ended", ENDED, "aaaaaaaa", "succeeded"),
            (f"and {WAITING} queued", WAITING, "bbbbbbbb", "queued"),
        ):
            if count:
                fill(database, count=count, prefix=prefix, state=state)
            figures[label] = measure(database, settings)
        database.close()
    for label, found in figures.items():
        print(f"{name:18} {label:18}", *(f"{k} {v:6.1f} ms" for k, v in found.items()))
    assert figures[f"{ENDED} ended"]["admission"] < figures["empty"]["admission"] + 20
    assert figures[f"and {WAITING} queued"]["admission"] < 250


def measure(database: Database, settings) -> dict[str, float]:
    def admit() -> None:
        with database.read() as session:
            admission.unfinished(session, "caller 7")

    def foresee() -> None:
        with database.read() as session:
            forecast.ahead(
                session,
                model="scenes",
                images=1,
                priority=Priority.NORMAL,
                pace_s=0.01,
                created=at(session),
            )

    def look() -> None:
        with database.read() as session:
            newest = queries.page(session, limit=1)
            read = queries.job(session, newest[0].job.id) if newest else None
            if read:
                forecast.of_job(session, read, pace_s=0.01)

    return {
        "admission": median_ms(admit),
        "forecast": median_ms(foresee),
        "position": median_ms(look),
        "scrape": median_ms(lambda: metrics.text(settings, database)),
    }
