"""`python -m tests.faults.chaos --seed N --minutes M --broker redis|rabbitmq`: faults at random.

The seed decides which faults come when; the same seed gives the same plan. Ends by itself; the exit
status says whether anything was violated.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.ordeal import UNDER_LOAD, Course, Event, endure
from tests.faults.report import Row, table
from tests.faults.stand import standing

FIRST_S = 2.0
GAP_S = (1.0, 4.0)
"""From one fault to the next."""
COMMON = {
    "worker kill -9": 10,
    "worker SIGTERM": 4,
    "worker SIGSTOP 14 s": 1,
    "redis restart": 3,
    "redis kill -9": 1,
    "redis FLUSHALL": 1,
    "redis SIGSTOP 5 s": 1,
    "postgres away 5 s": 1,
    "postgres connections cut": 2,
    "api dies after commit": 2,
    "api kill -9": 1,
}
"""Weights, not counts."""
MIXES = {
    "redis": COMMON,
    "rabbitmq": {
        **COMMON,
        "rabbitmq connections cut": 3,
        "rabbitmq away 5 s": 2,
        "rabbitmq stalls 5 s": 1,
        "rabbitmq queue purged": 1,
        "rabbitmq queue deleted": 1,
    },
}


def draw(broker: str, *, span_s: float, seed: int) -> list[Event]:
    """What happens when."""
    rng, events, at_s = random.Random(seed), [], FIRST_S
    names, weights = zip(*MIXES[broker].items(), strict=True)
    while at_s < UNDER_LOAD * span_s:
        events.append(Event(at_s, rng.choices(names, weights)[0]))
        at_s += rng.uniform(*GAP_S)
    return events


def chaos(
    folder: Path, *, broker: str, span_s: float, seed: int, images: int, patient: bool = False
) -> Course:
    """One run on a stand of its own."""
    with standing(folder, broker=broker, seed=seed) as stand:
        events = draw(broker, span_s=span_s, seed=seed)
        return endure(stand, events, images=images, span_s=span_s, seed=seed, patient=patient)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # then every process ends before us
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.faults.chaos")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--broker", choices=sorted(MIXES), default="redis")
    parser.add_argument("--images-per-s", type=float, default=40)
    given = parser.parse_args()
    print(f"seed {given.seed}, broker {given.broker}, {given.minutes:g} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="captioner-faults-"))
    course = chaos(
        folder,
        broker=given.broker,
        span_s=60 * given.minutes,
        seed=given.seed,
        images=int(60 * given.minutes * given.images_per_s),
        patient=True,
    )
    return tell(course.rows(f"chaos {given.broker} {given.seed}"), course.violations(), folder)


def tell(rows: list[Row], violations: list[str], folder: Path) -> int:
    """Print the table and what was violated; 0 if nothing was."""
    print(table(rows))
    for violation in violations:
        print(f"VIOLATED {violation}")
    print(f"{len(violations)} violations; logs are in {folder}", flush=True)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
