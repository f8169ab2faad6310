"""What must hold after every run, whatever was broken meanwhile."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text

from captioner.blobs import digest
from tests.faults import drawn
from tests.faults.drawn import Order
from tests.faults.watch import Job, Result, is_final, result_of

EXPECTED_ERRORS = {
    Order.SEGFAULT: "worker_lost",
    Order.HANG: "worker_lost",
    Order.RAISE: "caption_failed",
    Order.EMPTY: "caption_failed",
}


@dataclass
class Verdict:
    """What was found. All lists empty: nothing is wrong. Each entry says what and where."""

    jobs: int = 0
    images: int = 0
    unanswered: int = 0
    """Jobs that exist although no 202 arrived: their caller tried again."""
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)
    """Rows, messages and files that should not be there any more."""
    runs: int = 0
    """Images that the engine was given."""
    most_runs: int = 0

    @property
    def extra_runs(self) -> int:
        return self.runs - self.images


def judge(
    jobs: Mapping[str, Job],
    *,
    accepted: Mapping[str, tuple[int, ...]],
    first_results: Mapping[str, Result],
    orders: Mapping[int, Order],
) -> Verdict:
    """Hold every job, by its address, against what was sent and what was seen before."""
    verdict = Verdict()
    for url in accepted.keys() - jobs.keys():
        verdict.lost.append(f"{url}: there is no such job any more")
    for url, job in jobs.items():
        verdict.jobs += 1
        verdict.images += job["counts"]["total"]
        verdict.unanswered += url not in accepted
        _judge_job(verdict, url, job, orders)
        if url in accepted and len(job["images"]) != len(accepted[url]):
            verdict.wrong.append(f"{url}: {len(job['images'])} of {len(accepted[url])} images")
        first = first_results.get(url)
        if first is not None and first != result_of(job):
            verdict.duplicated.append(f"{url}: changed after it was final")
    return verdict


def _judge_job(verdict: Verdict, url: str, job: Job, orders: Mapping[int, Order]) -> None:
    if not is_final(job):
        open_ones = [(i["position"], i["status"], i["attempt"]) for i in job["images"]]
        verdict.lost.append(f"{url}: {job['status']}, {open_ones}")
        return
    states = Counter(image["status"] for image in job["images"])
    counts = job["counts"]
    if (states["succeeded"], states["failed"]) != (counts["succeeded"], counts["failed"]):
        verdict.duplicated.append(f"{url}: counts {counts}, images {dict(states)}")
    for image in job["images"]:
        _judge_image(verdict, f"{url} image {image['position']}", image, orders)


def _judge_image(verdict: Verdict, where: str, image: Job, orders: Mapping[int, Order]) -> None:
    number = int(image["file_name"].removesuffix(".png"))
    order = orders.get(number, Order.NONE)
    code = image["error"] and image["error"]["code"]
    expected = EXPECTED_ERRORS.get(order)
    if code != expected:
        detail = image["error"] and image["error"]["detail"]
        (verdict.lost if expected is None else verdict.wrong).append(
            f"{where}: error {code} ({detail}) after {image['attempt']} attempts, not {expected}"
        )
    elif expected is None and image["caption"] != drawn.caption(drawn.pixels(number, order)):
        verdict.wrong.append(f"{where}: {image['caption']!r} for picture {number}")


def unfinished_rows(database_url: str) -> list[str]:
    """Rows of jobs and images that are not final."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            return [
                f"{count} {table} are {state}"
                for table in ("jobs", "job_images")
                for state, count in connection.execute(
                    text(f"SELECT state, count(*) FROM {table} GROUP BY state")
                )
                if state in ("queued", "running", "styling", "canceling")
            ]
    finally:
        engine.dispose()


def broken_tasks(logs: Path) -> list[str]:
    """Lines in which Celery tells that a task of ours raised: none ever may."""
    return [
        f"{log.name}: {line[:200]}"
        for log in sorted(logs.glob("worker-*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if "raised unexpected" in line
    ]


def stray_files(blobs: Path, numbers: set[int], orders: dict[int, Order]) -> list[str]:
    """Files of the store that are not whole, or that no job knows."""
    known = {digest(drawn.png(n, orders.get(n, Order.NONE))) for n in numbers}
    return [
        f"stray file {path.name}"
        for path in sorted(blobs.rglob("*"))
        if path.is_file() and path.name not in known
    ]
