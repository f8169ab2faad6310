"""The main run: 10,000 images while everything is killed; and plain Celery under the same."""

import pytest

from tests.faults import plain_celery
from tests.faults.chaos import chaos
from tests.faults.ordeal import endure, plan
from tests.faults.stand import standing

IMAGES = 10_000
SPAN_S = 200.0
SEED = 1
FAULTS = {
    "worker kill -9": 50,
    "redis restart": 10,
    "redis FLUSHALL": 2,
    "postgres away 20 s": 2,
    "api dies after commit": 5,
}
CHAOS_S = 600.0
IMAGES_A_SECOND = 40

pytestmark = pytest.mark.long


def counts(scale: float) -> dict[str, int]:
    return {name: max(1, round(count * scale)) for name, count in FAULTS.items()}


def test_ten_thousand_images_while_everything_is_killed(tmp_path, tell, scale) -> None:
    span_s, images = SPAN_S * scale, int(IMAGES * scale)
    events = plan(counts(scale), span_s=span_s, seed=SEED)
    with standing(tmp_path, broker="redis") as stand:
        course = endure(stand, events, images=images, span_s=span_s, seed=SEED, patient=True)
    tell(course.rows(f"main run, seed {SEED}"))
    assert not course.violations(), "\n".join(course.violations())


def test_plain_celery_under_the_same_load(tmp_path, tell, scale) -> None:
    """No claim but that it runs to its end: its losses stand beside ours in the table."""
    span_s, images = SPAN_S * scale, int(IMAGES * scale)
    events = [(e.at_s, e.fault) for e in plan(counts(scale), span_s=span_s, seed=SEED)]
    outcome = plain_celery.endure(tmp_path, events, images=images, span_s=span_s, seed=SEED)
    tell(outcome.rows(f"plain Celery, seed {SEED}"))
    assert outcome.sent == images


@pytest.mark.parametrize(("broker", "seed"), [("redis", 101), ("rabbitmq", 102), ("redis", 103)])
def test_ten_minutes_of_chaos(broker, seed, tmp_path, tell, scale) -> None:
    span_s = CHAOS_S * scale
    course = chaos(
        tmp_path,
        broker=broker,
        span_s=span_s,
        seed=seed,
        images=int(span_s * IMAGES_A_SECOND),
        patient=True,
    )
    tell(course.rows(f"chaos on {broker}, {span_s:g} s, seed {seed}"))
    assert not course.violations(), "\n".join(course.violations())
