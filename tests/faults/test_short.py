"""Three minutes of everything, on both brokers: the form that runs with every change."""

import pytest

from tests.faults.chaos import chaos

SPAN_S = 180.0
IMAGES = 4_500
SEED = 20


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_three_minutes_of_chaos_lose_nothing(broker, tmp_path, tell, scale) -> None:
    course = chaos(
        tmp_path, broker=broker, span_s=SPAN_S * scale, seed=SEED, images=int(IMAGES * scale)
    )
    tell(course.rows(f"{broker}, {SPAN_S * scale:g} s, seed {SEED}"))
    assert not course.violations(), "\n".join(course.violations())
