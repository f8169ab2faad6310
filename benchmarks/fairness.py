"""Single pictures beside one job of thousands, and by themselves: how much longer they take.

Engines of three kinds, by what a batch costs them: the same whatever its size, as on a GPU that is
not full; in proportion to its size, so that nothing is gained by batches, which is the worst there
is; and half of each. Blocking calls over HTTP, one at a time, at moments drawn at random.
"""

import os
import random
import statistics
import time

from sqlalchemy import func, select

from benchmarks.queue import Place, form, picture, serving, spread
from benchmarks.report import heading, keep
from models import ImageState, JobImage
from tests import stacks

LARGE = int(os.environ.get("FAIRNESS_LARGE", "10000"))
SINGLES = 30
PAUSE_S = 0.4
ENGINES = {
    "50 ms a batch": (0.05, 0.0),
    "50 ms a picture": (0.0, 0.05),
    "25 ms a batch and 25 a picture": (0.025, 0.025),
}
"""Seconds for a batch, and for each picture of it."""


def called(place: Place) -> list[float]:
    """Milliseconds of each single picture."""
    dice = random.Random(0)
    found = []
    for _ in range(SINGLES):
        time.sleep(dice.uniform(0, PAUSE_S))
        found.append(place.door.blocking_ms(form([picture()])))
    return found


def left(place: Place) -> int:
    """Pictures that nobody has begun to caption."""
    with place.database.read() as session:
        queued = select(func.count()).where(JobImage.state == ImageState.QUEUED)
        return session.scalar(queued) or 0


def beside(stack: str, engine: str) -> list[str]:
    """The lines of one engine."""
    batch_s, picture_s = ENGINES[engine]
    with serving(stack, batch_s=batch_s, picture_s=picture_s) as place:
        place.door.blocking_ms(form([picture()]))
        idle = called(place)
        place.door.submit(form([picture() for _ in range(LARGE)]))
        before, started = left(place), time.perf_counter()
        found = called(place)
        after, seconds = left(place), time.perf_counter() - started
    assert after > 0, "the large job ended too early to say anything"
    times = statistics.median(found) / statistics.median(idle)
    return [
        f"  {engine}",
        f"    by themselves    {spread(idle)}",
        f"    beside {LARGE:6}    {spread(found)}: {times:.2f} times as long at the median",
        f"    meanwhile {(before - after) / seconds:.0f} pictures/s of the large job",
    ]


def main() -> None:
    """Measure, print and keep."""
    settings: dict[str, object] = {
        "large": LARGE, "singles": SINGLES, "pause_s": f"0..{PAUSE_S}", "max_batch": 16,
        "api_processes": 2, "workers": 1,
    }  # fmt: skip
    lines = []
    for stack in stacks.DEFAULT.split(","):
        lines.append(stack)
        for engine in ENGINES:
            lines += beside(stack, engine)
    keep("fairness", heading("Single pictures beside a large job", settings) + "\n".join(lines))


if __name__ == "__main__":
    main()
