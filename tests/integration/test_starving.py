"""No job waits for ever: not behind a large one, and not behind those of a higher priority."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from captioner import jobs
from captioner.database import Database
from captioner.jobs.ranking import FEW
from models import Job, JobImage, Priority

LARGE, PACE_S, AT_ONCE = 10_000, 0.01, 16


@pytest.fixture
def model() -> str:
    return f"of-{uuid4()}"


def take(database: Database, model: str, *, hurried: bool = False) -> list[UUID]:
    with database.write() as session:
        claims = jobs.claim(
            session,
            model=model,
            limit=AT_ONCE,
            worker="w",
            lease_s=60,
            max_attempts=3,
            retry_s=3600,
            hurried=hurried,
        )
    return [claimed.job_id for claimed in claims]


def taken_before(database: Database, model: str, job_id: UUID) -> int:
    """How many images are taken before this job's first."""
    before = 0
    while job_id not in (taken := take(database, model)):
        assert taken, "it is never taken"
        before += len(taken)
    return before + taken.index(job_id)


def age(database: Database, job_id: UUID, seconds: float) -> None:
    """As if the job had come so much earlier."""
    with database.write() as session:
        session.execute(
            update(JobImage).where(JobImage.job_id == job_id).values(rank=JobImage.rank - seconds)
        )


def test_ten_thousand_images_let_single_ones_go_between(database, make, model) -> None:
    large = make(LARGE, model=model, pace_s=PACE_S)
    with database.read() as session:
        began = session.get(Job, large).created_at
    for n in range(5):
        for _ in range(3):
            take(database, model)
        single = make(1, model=model)
        with database.read() as session:
            since_s = (session.get(Job, single).created_at - began).total_seconds()
        held_up_by = taken_before(database, model, single)
        # What a service of this pace would have done by then, and one round of what it holds.
        bound = since_s / PACE_S + AT_ONCE
        print(f"single {n}, sent after {since_s:.2f} s: behind {held_up_by}, bound {bound:.0f}")
        assert held_up_by <= bound


def test_a_service_that_keeps_its_pace_takes_a_single_image_next(database, make, model) -> None:
    make(LARGE, model=model, pace_s=60.0)
    take(database, model)
    assert taken_before(database, model, make(1, model=model)) == 0


def test_small_jobs_at_the_head_of_the_line_are_taken_without_a_large_one(
    database, make, model
) -> None:
    large = make(LARGE, model=model, pace_s=60.0)
    assert take(database, model, hurried=True) == []  # it is at the head
    assert take(database, model) == [large] * AT_ONCE
    small = [make(FEW, model=model), make(1, model=model)]
    assert take(database, model, hurried=True) == [small[0]] * FEW + [small[1]]
    assert take(database, model, hurried=True) == []
    assert take(database, model) == [large] * AT_ONCE


def test_a_low_one_goes_first_once_it_has_waited_two_head_starts(database, make, model) -> None:
    low = make(1, model=model, priority=Priority.LOW)
    age(database, low, 3590)
    normal = make(1, model=model)
    assert take(database, model) == [normal, low]
    low = make(1, model=model, priority=Priority.LOW)
    age(database, low, 3610)
    normal = make(1, model=model)
    assert take(database, model) == [low, normal]
    low = make(1, model=model, priority=Priority.LOW)
    age(database, low, 7210)
    high = make(1, model=model, priority=Priority.HIGH)
    assert take(database, model) == [low, high]
