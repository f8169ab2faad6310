"""A worker's measure of itself: busy seconds for each image that is through."""

import pytest

from captioner import forecast
from models import Worker
from worker.pace import HALF_LIFE_S, Pace


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def work(pace: Pace, clock: Clock, *, images: int, seconds: float) -> None:
    with pace.working("m"):
        clock.now += seconds
        pace.done("m", images)


def test_nothing_is_measured_before_an_image_is_through(clock) -> None:
    pace = Pace(clock)
    with pace.working("m"):
        clock.now += 10
        assert pace.measured() == {}


def test_idle_time_does_not_count(clock) -> None:
    pace = Pace(clock)
    work(pace, clock, images=10, seconds=2)
    clock.now += 3600
    assert pace.measured() == {"m": pytest.approx(0.2)}


def test_work_at_the_same_time_counts_once(clock) -> None:
    pace = Pace(clock)
    with pace.working("m"), pace.working("m"):
        clock.now += 4
        pace.done("m", 8)
        pace.done("m", 8)
    assert pace.measured() == {"m": pytest.approx(0.25)}


def test_what_is_long_past_counts_little(clock) -> None:
    pace = Pace(clock)
    work(pace, clock, images=1, seconds=30)  # a slow beginning
    for _ in range(100):
        work(pace, clock, images=100, seconds=HALF_LIFE_S / 10)
    assert pace.measured() == {"m": pytest.approx(0.06, rel=0.05)}


def worker(*, state: str = "ready", draining: bool = False, **pace: float) -> Worker:
    return Worker(
        pace=pace,
        draining=draining,
        models={name: {"state": state, "detail": None} for name in pace},
    )


def test_rates_of_workers_add_up() -> None:
    found = forecast.paces([worker(a=0.5, b=1.0), worker(a=0.5), worker(a=0.25)])
    assert found == {"a": pytest.approx(0.125), "b": pytest.approx(1.0)}


def test_workers_that_take_no_work_count_for_nothing() -> None:
    assert forecast.paces([worker(a=0.5, draining=True), worker(a=0.5, state="failed")]) == {}
