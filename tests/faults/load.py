"""Callers: they post distinct pictures at a steady pace, and try again where a caller should."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType

import httpx

from tests.faults import drawn
from tests.faults.drawn import Order

SIZES = (1, 1, 2, 4, 8, 16, 32, 64)
"""Images of a job, each as likely."""
TRY_AGAIN = (429, 503)
LONGEST_PAUSE_S = 2.0
MOST_OPEN = 640
"""Images that wait or are worked on. Past it callers pause: a slow machine gets no backlog, whose
length would be measured in place of the recovery."""
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Batch:
    """One job to be: the numbers of its pictures, and when it is to be posted."""

    numbers: tuple[int, ...]
    at_s: float


@dataclass
class Posted:
    """What callers saw."""

    accepted: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Address of each job that got a 202, to the numbers of its pictures."""
    answers: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    """Answers that no caller should ever see."""
    slowest_s: float = 0.0
    sent_images: int = 0
    final_images: int = 0
    """Counted by whoever watches the jobs."""


def batches(*, images: int, span_s: float, seed: int) -> list[Batch]:
    """Jobs of 1 to 64 images, spread evenly over the span."""
    rng, found, start = random.Random(seed), [], 0
    while start < images:
        size = min(rng.choice(SIZES), images - start)
        numbers = tuple(range(start, start + size))
        found.append(Batch(numbers, span_s * start / images))
        start += size
    return found


class Load:
    """Posts from several threads while its block runs; `finish` waits for the last post."""

    def __init__(
        self,
        base: str,
        plan: list[Batch],
        *,
        orders: dict[int, Order] | None = None,
        threads: int = 4,
    ) -> None:
        self.seen = Posted()
        self.last_post_at = time.monotonic()
        self._base = base
        self._orders = orders or {}
        self._plan = iter(plan)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._threads = [
            threading.Thread(target=self._post_all, name=f"caller-{n}", daemon=True)
            for n in range(threads)
        ]

    def finish(self, timeout_s: float) -> None:
        """Wait until everything was accepted. AssertionError: it was not in time."""
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        assert not any(t.is_alive() for t in self._threads), "callers are still posting"

    def __enter__(self) -> "Load":
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=TIMEOUT_S)

    def _post_all(self) -> None:
        with httpx.Client(base_url=self._base, timeout=TIMEOUT_S) as http:
            for batch in self._turns():
                files = [
                    ("images", (f"{n}.png", drawn.png(n, self._orders.get(n, Order.NONE))))
                    for n in batch.numbers
                ]
                while not self._stop.is_set() and not self._post(http, batch, files):
                    pass

    def _turns(self) -> Iterator[Batch]:
        while not self._stop.is_set():
            with self._lock:
                batch = next(self._plan, None)
            if batch is None:
                return
            self._stop.wait(max(0.0, self._started + batch.at_s - time.monotonic()))
            while self.seen.sent_images - self.seen.final_images > MOST_OPEN:
                if self._stop.wait(0.1):
                    return
            yield batch

    def _post(self, http: httpx.Client, batch: Batch, files: list) -> bool:
        """Post it once; returns whether this job needs no other try."""
        started = time.monotonic()
        try:
            answer = http.post("/captionImage", files=files)
        except httpx.TransportError as error:
            self._note(f"no answer ({type(error).__name__})", started)
            self._stop.wait(0.2)
            return False
        self._note(str(answer.status_code), started)
        if answer.status_code in TRY_AGAIN:
            pause_s = float(answer.headers.get("Retry-After", "1"))
            self._stop.wait(min(pause_s, LONGEST_PAUSE_S))
            return False
        with self._lock:
            if answer.status_code == 202:
                self.seen.accepted[answer.headers["Location"]] = batch.numbers
                self.seen.sent_images += len(batch.numbers)
                self.last_post_at = time.monotonic()
            else:
                self.seen.unexpected.append(f"{answer.status_code}: {answer.text[:300]}")
        return True

    def _note(self, answer: str, started: float) -> None:
        with self._lock:
            self.seen.answers[answer] += 1
            self.seen.slowest_s = max(self.seen.slowest_s, time.monotonic() - started)
