"""The judge itself: it sees each thing that may not be, or its runs would prove nothing."""

import copy
from collections.abc import Callable

import pytest

from tests.faults import drawn
from tests.faults.audit import Verdict, judge
from tests.faults.drawn import Order
from tests.faults.watch import Job, result_of

URL = "/captionImage/one"
NUMBERS = (4, 5)


def good() -> Job:
    images = [
        {
            "position": position,
            "file_name": f"{number}.png",
            "status": "succeeded",
            "caption": drawn.caption(drawn.pixels(number)),
            "error": None,
            "attempt": 1,
            "finished_at": "2026-01-01T00:00:00Z",
        }
        for position, number in enumerate(NUMBERS)
    ]
    counts = {"total": 2, "succeeded": 2, "failed": 0, "unfinished": 0}
    return {"id": "one", "status": "succeeded", "images": images, "counts": counts}


def judged(job: Job, orders: dict[int, Order] | None = None) -> Verdict:
    first = {URL: result_of(good())}
    return judge({URL: job}, accepted={URL: NUMBERS}, first_results=first, orders=orders or {})


def test_a_right_job_is_found_right() -> None:
    verdict = judged(good())
    assert (verdict.lost, verdict.duplicated, verdict.wrong) == ([], [], [])
    assert (verdict.jobs, verdict.images, verdict.unanswered) == (1, 2, 0)


def change(**changes: object) -> Callable[[Job], None]:
    return lambda job: job["images"][1].update(changes)


def swap(job: Job) -> None:
    first, second = job["images"]
    first["caption"], second["caption"] = second["caption"], first["caption"]


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda job: job.update(status="running"), "lost"),
        (change(error={"code": "worker_lost", "detail": "x"}, status="failed"), "lost"),
        (change(finished_at="2026-01-01T00:00:01Z"), "duplicated"),
        (change(attempt=2), "duplicated"),
        (lambda job: job["counts"].update(succeeded=3), "duplicated"),
        (swap, "wrong"),
        (change(caption="a cat"), "wrong"),
        (lambda job: job["images"].pop(), "wrong"),
    ],
)
def test_each_damage_is_seen(damage, kind) -> None:
    job = copy.deepcopy(good())
    damage(job)
    assert getattr(judged(job), kind)


def test_a_job_that_vanished_is_lost() -> None:
    verdict = judge({}, accepted={URL: NUMBERS}, first_results={}, orders={})
    assert len(verdict.lost) == 1


def test_a_picture_at_fault_that_succeeds_is_wrong() -> None:
    assert judged(good(), {5: Order.RAISE}).wrong


def test_two_pictures_never_share_a_caption() -> None:
    captions = {drawn.caption(drawn.pixels(number)) for number in range(2_000)}
    assert len(captions) == 2_000
