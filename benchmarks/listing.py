"""`python -m benchmarks listing`: lists and statistics over a million jobs, through a real API.

Each job has one image, and each is an image of the pipeline. The rows are written by the database
itself. Then one caller asks, one request after another; cursors are drawn over the whole list. It
shows a key: an administrator's, or that of the owner of half the jobs, of which none failed. Below
stands how Postgres goes about each statement.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import httpx
from sqlalchemy.orm import Session

from benchmarks.report import heading, keep
from captioner import census, gallery, queries, results, schema
from captioner.access import book
from captioner.database import Database
from models import JobState, Scope
from tests import many, processes, stacks
from tests.integration.conftest import settings_of

JOBS = 1_000_000
REQUESTS = 300
WARM_UP = 20
LIMIT = 100
BOUND_MS = 50.0
ROUTES = {
    "/captionImage": "/captionImage?",
    "/captionImage, succeeded": "/captionImage?status=succeeded",
    "/captionImage, failed (1 of 100)": "/captionImage?status=failed",
    "/captionImage, queued or running (200)": "/captionImage?status=queued&status=running",
    "/captionImage, succeeded or failed": "/captionImage?status=succeeded&status=failed",
    "/api/images": "/api/images?",
}
ROUTES_OF_AN_OWNER = {
    "/captionImage": "/captionImage?",
    "/captionImage, succeeded": "/captionImage?status=succeeded",
    "/captionImage, failed (none)": "/captionImage?status=failed",
    "/captionImage, succeeded or failed": "/captionImage?status=succeeded&status=failed",
    "/api/images": "/api/images?",
}
LOOKS: dict[str, Callable[[Session], object]] = {
    "/captionImage": lambda s: queries.page(s, limit=LIMIT),
    "/captionImage, from the middle": lambda s: queries.page(
        s, before=many.id_of(JOBS // 2), limit=LIMIT
    ),
    "/captionImage, failed, from the middle": lambda s: queries.page(
        s, before=many.id_of(JOBS // 2), states=[JobState.FAILED], limit=LIMIT
    ),
    "/captionImage, succeeded or failed, from the middle": lambda s: queries.page(
        s,
        before=many.id_of(JOBS // 2),
        states=[JobState.SUCCEEDED, JobState.FAILED],
        limit=LIMIT,
    ),
    "/captionImage of an owner, from the middle": lambda s: queries.page(
        s, before=many.id_of(JOBS // 2), owner=many.HALF, limit=LIMIT
    ),
    "/captionImage of an owner, failed (none)": lambda s: queries.page(
        s, states=[JobState.FAILED], owner=many.HALF, limit=LIMIT
    ),
    "/captionImage of an owner, succeeded or failed, from the middle": lambda s: queries.page(
        s,
        before=many.id_of(JOBS // 2),
        states=[JobState.SUCCEEDED, JobState.FAILED],
        owner=many.HALF,
        limit=LIMIT,
    ),
    "/api/images, from the middle": lambda s: gallery.page(
        s, before=many.id_of(JOBS // 2), limit=LIMIT
    ),
    "/api/stats": lambda s: (list(census.images(s)), results.total(s)),
}


@contextmanager
def filled(stack: str) -> Iterator[tuple[str, Database, float]]:
    """An API over a database with all the rows, and how long it took to write them."""
    with TemporaryDirectory() as name, stacks.started(stack, Path(name)) as started:
        schema.upgrade(settings_of(started))
        database = Database(started.database_url, answer_s=600)
        begun = time.perf_counter()
        many.fill(started.database_url, JOBS)
        seconds = time.perf_counter() - begun
        environment = {**started.environment, "CAPTIONER_AUTH": "required"}
        with processes.service(environment, Path(name), workers=0, ready=False) as base:
            yield base, database, seconds
        database.close()


def asked(http: httpx.Client, addresses: list[str]) -> list[float]:
    """Milliseconds of each of these requests, after a few that do not count."""
    found = []
    for number, address in enumerate([*addresses[:WARM_UP], *addresses]):
        begun = time.perf_counter()
        http.get(address).raise_for_status()
        if number >= min(WARM_UP, len(addresses)):
            found.append((time.perf_counter() - begun) * 1000)
    return found


def line(name: str, found: list[float]) -> str:
    """p50, p95 and the longest."""
    cuts = quantiles(found, n=100)
    verdict = "" if cuts[94] < BOUND_MS else f"  above {BOUND_MS:g} ms"
    return f"  {name:60} {cuts[49]:7.1f} {cuts[94]:7.1f} {max(found):7.1f}{verdict}"


def lines_of(stack: str) -> list[str]:
    with filled(stack) as (base, database, seconds):
        lines = [f"{stack}: {JOBS} jobs, written in {seconds:.0f} s", ""]
        lines += [f"  {'milliseconds of a request':60} {'p50':>7} {'p95':>7} {'max':>7}"]
        with caller(base, database, "root", Scope.ADMIN) as http:
            lines += lines_to(http, ROUTES)
            lines.append(line("/api/stats", asked(http, ["/api/stats"] * REQUESTS)))
        with caller(base, database, many.HALF, Scope.READ) as http:
            lines += ["", f"  of the owner of {JOBS // 2}", *lines_to(http, ROUTES_OF_AN_OWNER)]
        if stack.startswith("postgres"):
            lines += ["", "EXPLAIN (ANALYZE, BUFFERS) of each statement"]
            for name, look in LOOKS.items():
                lines += ["", f"  {name}", *plans_of(database, look)]
    return [*lines, ""]


@contextmanager
def caller(base: str, database: Database, owner: str, scope: Scope) -> Iterator[httpx.Client]:
    """A client that shows a new key of this owner."""
    with database.write() as session:
        _, key = book.create(session, owner=owner, scopes={scope})
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}) as http:
        yield http


def lines_to(http: httpx.Client, routes: Mapping[str, str]) -> list[str]:
    """Each of these lists, from its beginning and from anywhere in it."""
    rng, lines = random.Random(7), []
    for name, route in routes.items():
        lines.append(line(f"{name}, newest", asked(http, [route] * REQUESTS)))
        deep = [f"{route}&cursor={many.id_of(rng.randint(1, JOBS))}" for _ in range(REQUESTS)]
        lines.append(line(f"{name}, from anywhere", asked(http, deep)))
    return lines


def plans_of(database: Database, look: Callable[[Session], object]) -> list[str]:
    """How the database goes about it, cut to lines that can be read."""

    def once() -> None:
        with database.read() as session:
            look(session)

    once()
    found = many.plans(database, once, measured=True)
    return [f"    {row[:150]}" for plan in found for row in plan.splitlines()]


def main() -> None:
    """Measure, print and keep."""
    settings: dict[str, object] = {
        "jobs": JOBS, "requests": REQUESTS, "limit": LIMIT, "api_processes": 2, "callers": 1,
    }  # fmt: skip
    lines = [row for stack in stacks.NAMES for row in lines_of(stack)]
    keep(
        "listing", heading("Lists and statistics over a million jobs", settings) + "\n".join(lines)
    )


if __name__ == "__main__":
    main()
