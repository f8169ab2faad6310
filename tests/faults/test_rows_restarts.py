"""Row 4 of the fault matrix: workers are told to go, one after the other, under load."""

from tests.faults.crew import forms
from tests.faults.ordeal import Event, endure
from tests.faults.stand import standing

GAP_S = 8.0
"""From one to the next: a worker is back before the other goes."""
IMAGES = 500


@forms("restarts", 2, 10)
def test_rolling_restarts_run_nothing_twice(restarts, tmp_path, tell) -> None:
    """What runs is finished, and what has not begun is handed back: no picture is run again."""
    events = [Event(2 + GAP_S * n, "worker SIGTERM") for n in range(restarts)]
    with standing(tmp_path, broker="redis") as stand:
        course = endure(
            stand, events, images=IMAGES * restarts, span_s=GAP_S * (restarts + 1), seed=4
        )
        tell(course.rows("matrix, rolling restarts"))
    assert not course.violations(), "\n".join(course.violations())
    assert course.verdict.extra_runs == 0
