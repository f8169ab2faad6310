"""A job's place in line and its time to wait follow from ranks, priorities and measured pace."""

from uuid import uuid4

import pytest

from captioner import forecast, jobs, queries
from captioner.clock import at
from captioner.forecast import Forecast
from captioner.work import Outcome
from models import Priority
from tests.integration.rows import claim


@pytest.fixture
def told(database):
    def told(job_id, pace_s: float | None = 0.5) -> Forecast | None:
        with database.read() as session:
            read = queries.job(session, job_id)
            assert read is not None
            return forecast.of_job(session, read, pace_s=pace_s)

    return told


@pytest.fixture
def model() -> str:
    return f"of-{uuid4()}"


def test_the_time_to_wait_is_images_times_pace(make, told) -> None:
    job_id = make(4, refused=1)
    assert told(job_id) == Forecast(queue_position=1, images_ahead=0, eta_s=1.5)


def test_before_any_measure_nothing_is_foretold(make, told) -> None:
    assert told(make(2), None) == Forecast(queue_position=1, images_ahead=0, eta_s=None)


def test_what_is_held_counts_and_what_is_done_does_not(database, make, told) -> None:
    job_id = make(4)
    with database.write() as session:
        claims = claim(session, job_id, 0, 1)
        jobs.finish(session, [Outcome(claims[0], caption="it")])
    assert told(job_id) == Forecast(queue_position=None, images_ahead=0, eta_s=1.5)


def test_nothing_is_foretold_of_a_job_that_is_final_or_stops(database, make, told) -> None:
    waits, stops = make(2), make(2)
    with database.write() as session:
        claim(session, stops, 0)
        for job_id in (waits, stops):
            jobs.cancel(session, job_id)
    assert (told(waits), told(stops)) == (None, None)


def test_a_priority_is_a_place_in_line(make, told, model) -> None:
    low = make(1, model=model, priority=Priority.LOW)
    normal = make(2, model=model)
    high = make(4, model=model, priority=Priority.HIGH)
    places = [told(each) for each in (high, normal, low)]
    assert [(p.queue_position, p.images_ahead, p.eta_s) for p in places] == [
        (1, 0, 2.0),
        (2, 4, 3.0),
        (3, 6, 3.5),
    ]


def test_a_large_job_lets_later_ones_between(make, told, model) -> None:
    large = make(48, model=model, pace_s=100.0)
    single = make(1, model=model)
    assert told(single) == Forecast(queue_position=2, images_ahead=16, eta_s=8.5)
    assert told(large) == Forecast(queue_position=1, images_ahead=1, eta_s=24.5)


def test_a_new_job_is_foretold_what_it_is_told_then(database, make, told, model) -> None:
    make(20, model=model, pace_s=0.5)
    with database.read() as session:
        ahead = forecast.ahead(
            session, model=model, images=3, priority=Priority.HIGH, pace_s=0.5, created=at(session)
        )
    job_id = make(3, model=model, priority=Priority.HIGH, pace_s=0.5)
    assert told(job_id).eta_s == (ahead + 3) * 0.5 == 1.5
    with database.read() as session:
        behind = forecast.ahead(
            session, model=model, images=3, priority=Priority.LOW, pace_s=0.5, created=at(session)
        )
    assert (behind + 3) * 0.5 == 13.0


def test_the_line_is_worked_on_in_the_order_that_was_told(database, make, told, model) -> None:
    kinds = [Priority.LOW, Priority.NORMAL, Priority.HIGH] * 3
    ids = [make(1, model=model, priority=kind) for kind in kinds]
    by_place = sorted(ids, key=lambda each: told(each).queue_position)
    with database.write() as session:
        claims = jobs.claim(
            session,
            model=model,
            limit=len(ids),
            worker="w",
            lease_s=60,
            max_attempts=3,
            retry_s=3600,
        )
    assert [claimed.job_id for claimed in claims] == by_place
