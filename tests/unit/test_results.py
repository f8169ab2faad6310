"""Percentiles of times that are counted in buckets are off by no more than is said."""

import math
import random

import pytest

from captioner.results import LAST, Times, bounds, bucket_of

PERCENTS = (1, 10, 50, 90, 99, 99.9, 100)


def counted(seconds: list[float]) -> Times:
    buckets: dict[int, int] = {}
    for each in seconds:
        buckets[bucket_of(each)] = buckets.get(bucket_of(each), 0) + 1
    return Times(buckets, sum(seconds))


@pytest.mark.parametrize("seed", range(5))
def test_a_percentile_is_off_by_nine_percent_at_most(seed: int) -> None:
    rng = random.Random(seed)
    drawn = {
        "like a service": [rng.lognormvariate(-2, 1) for _ in range(5_000)],
        "even": [rng.uniform(0.001, 20) for _ in range(777)],
        "few": [rng.expovariate(1) + 0.001 for _ in range(3)],
        "two kinds": [rng.choice([0.005, 90.0]) for _ in range(100)],
    }
    for kind, seconds in drawn.items():
        times, ordered = counted(seconds), sorted(seconds)
        for percent in PERCENTS:
            true = max(ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1], 0.001)
            told = times.percentile_s(percent)
            assert told is not None
            assert 1 / 1.0906 <= told / true <= 1.0906, (kind, percent)
        assert times.average_s == pytest.approx(sum(seconds) / len(seconds))


def test_every_time_is_within_the_bounds_of_its_bucket() -> None:
    rng = random.Random(1)
    for seconds in (0.0, 0.0005, 0.0011, *(10 ** rng.uniform(-3, 4.9) for _ in range(2_000))):
        low, high = bounds(bucket_of(seconds))
        assert low * 0.999999 <= seconds < high * 1.000001
    assert bucket_of(0) == bucket_of(-1) == 0, "clocks may be set back"
    assert bucket_of(1e9) == LAST


def test_nothing_has_no_percentile() -> None:
    assert Times({}, 0.0).percentile_s(50) is None
    assert Times({}, 0.0).average_s is None
