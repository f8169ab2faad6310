"""One run: load, faults at planned moments, then the wait until all is well, and the verdict."""

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults import audit, witness
from tests.faults.audit import Verdict
from tests.faults.drawn import Order
from tests.faults.faults import FAULTS
from tests.faults.load import Load, Posted, batches
from tests.faults.report import Row
from tests.faults.stand import Stand
from tests.faults.watch import Watch

SETTLE_S = 60.0
"""Every job must be final so long after the last fault."""
SWEPT_S = 45.0
"""Parts of files that a killed API leaves are removed when they are old, a few folders a turn."""
SHORT_LEFT_S = 5.0
LEFT_S = 150.0
"""Messages of killed workers return to a Redis queue after its visibility timeout, 120 s."""


UNDER_LOAD = 0.9
"""The share of the span in which faults begin: each has some load after it."""


@dataclass(frozen=True)
class Event:
    """A fault, and when it begins."""

    at_s: float
    fault: str


def plan(counts: Mapping[str, int], *, span_s: float, seed: int) -> list[Event]:
    """So many of each, at random moments of the span."""
    rng = random.Random(seed)
    events = [
        Event(rng.uniform(0, UNDER_LOAD * span_s), name)
        for name, n in sorted(counts.items())
        for _ in range(n)
    ]
    return sorted(events, key=lambda event: event.at_s)


@dataclass
class Course:
    """How a run went."""

    events: list[Event]
    ended: list[tuple[str, float]] = field(default_factory=list)
    """Each fault and when it was over, as `time.time()`."""
    broken: list[str] = field(default_factory=list)
    """Faults that could not be done, or did not end as they must."""
    posted: Posted = field(default_factory=Posted)
    verdict: Verdict = field(default_factory=Verdict)
    surprises: list[str] = field(default_factory=list)
    settled_s: float | None = None
    left: int = 0
    run_times: list[float] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Everything that may not be. Empty: the run is passed."""
        verdict = self.verdict
        late = [] if self.settled_s is not None else [f"not all final within {SETTLE_S:g} s"]
        return [
            *late,
            *(f"lost: {each}" for each in verdict.lost),
            *(f"duplicated: {each}" for each in verdict.duplicated),
            *(f"wrong: {each}" for each in verdict.wrong),
            *(f"left over: {each}" for each in verdict.litter),
            *(f"unexpected answer: {each}" for each in self.posted.unexpected),
            *(f"died by itself: {each}" for each in self.surprises),
            *(f"fault: {each}" for each in self.broken),
        ]

    def rows(self, run: str) -> list[Row]:
        """The lines of the table: the whole run, then each kind of fault."""
        found, counts = self.verdict, Counter(name for name, _ in self.ended)
        settled = "never" if self.settled_s is None else f"{self.settled_s:.1f}"
        total = Row(
            run, "all of these", len(self.ended), found.images, len(found.lost),
            len(found.duplicated), len(found.wrong), len(self.surprises), found.extra_runs,
            f"{settled} all final",
        )  # fmt: skip
        return [total] + [
            Row(run, name, count, recovered_s=self._again(name)) for name, count in counts.items()
        ]

    def _again(self, fault: str) -> str:
        """The longest time from such a fault's end to the next image that an engine was given."""
        gaps = []
        for name, at in self.ended:
            later = [when - at for when in self.run_times if when >= at]
            if name == fault and later:
                gaps.append(min(later))
        return f"{max(gaps):.1f} work again" if gaps else ""


def endure(
    stand: Stand,
    events: list[Event],
    *,
    images: int,
    span_s: float,
    seed: int,
    orders: dict[int, Order] | None = None,
    patient: bool = False,
) -> Course:
    """Load and faults over the span, then the wait and the verdict.

    `patient`: wait also until a Redis broker has given back what killed workers held.
    """
    course, orders = Course(events), orders or {}
    posts = batches(images=images, span_s=span_s, seed=seed)
    with Load(stand.base, posts, orders=orders) as load:
        course.posted = load.seen
        with Watch(stand.base, load.seen) as watch:
            _break(stand, course)
            over = time.monotonic()
            load.finish(timeout_s=2 * span_s + 240)
            _settle(course, watch, after=max(over, load.last_post_at))
            course.left = _drained(stand, patient=patient)
            course.verdict = audit.judge(
                watch.all_jobs(),
                accepted=load.seen.accepted,
                first_results=watch.first_results,
                orders=orders,
            )
    _look_around(stand, course, orders)
    return course


def _break(stand: Stand, course: Course) -> None:
    started, threads = time.monotonic(), []
    for number, event in enumerate(course.events):
        time.sleep(max(0.0, started + event.at_s - time.monotonic()))
        rng = random.Random(f"{number} {event}")
        thread = threading.Thread(target=_do, args=(stand, course, event, rng), daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(timeout=120)


def _do(stand: Stand, course: Course, event: Event, rng: random.Random) -> None:
    try:
        FAULTS[event.fault](stand, rng)
    except Exception as error:
        course.broken.append(f"{event}: {type(error).__name__}: {error}")
    course.ended.append((event.fault, time.time()))


def _settle(course: Course, watch: Watch, *, after: float) -> None:
    while watch.open_jobs() and time.monotonic() < after + SETTLE_S:
        time.sleep(0.2)
    if not watch.open_jobs():
        last = max(watch.final_at.values(), default=after)
        course.settled_s = max(0.0, last - after)


def _drained(stand: Stand, *, patient: bool) -> int:
    deadline, left = time.monotonic() + (LEFT_S if patient else SHORT_LEFT_S), -1
    while left != 0 and time.monotonic() < deadline:
        with suppress(Exception):
            left = stand.left(taken=patient)
        time.sleep(0.2)
    return left


def _swept(stand: Stand, sent: set[int], orders: dict[int, Order]) -> list[str]:
    """Files that are still there when the store must have been swept (`keep_orphans_s`)."""
    deadline = time.monotonic() + SWEPT_S
    while (stray := audit.stray_files(stand.blobs, sent, orders)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return stray


def _look_around(stand: Stand, course: Course, orders: dict[int, Order]) -> None:
    verdict = course.verdict
    sent = {n for numbers in course.posted.accepted.values() for n in numbers}
    verdict.litter += audit.unfinished_rows(stand.postgres.url)
    verdict.litter += _swept(stand, sent, orders)
    course.surprises += audit.broken_tasks(stand.folder)
    if course.left:
        verdict.litter.append(f"{course.left} messages")
    runs = witness.runs(stand.witness_file)
    verdict.runs, verdict.most_runs = runs.total(), max(runs.values(), default=0)
    course.run_times = witness.times(stand.witness_file)
    course.surprises += [
        f"{death.name} (pid {death.pid}) with {death.code}: {death.tail}"
        for death in stand.fleet.surprises()
    ]
