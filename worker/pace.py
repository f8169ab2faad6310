"""How fast this worker is: busy seconds per image of each model, as measured lately.

A second counts as busy while at least one image of the model is worked on; so what batches and
threads do at once is in the measure, and idle time is not. Older seconds count for less: half as
much for each `HALF_LIFE_S` of work since.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HALF_LIFE_S = 60.0
"""Busy seconds after which what was measured counts half."""


@dataclass
class _Meter:
    working: int = 0
    since: float = 0.0
    busy_s: float = 0.0
    images: float = 0.0

    def advance(self, now: float) -> None:
        if self.working:
            passed = now - self.since
            kept = 0.5 ** (passed / HALF_LIFE_S)
            self.busy_s = self.busy_s * kept + passed
            self.images *= kept
        self.since = now


class Pace:
    """The meters of a worker, one for each model. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meters: dict[str, _Meter] = {}
        self._lock = threading.Lock()

    @contextmanager
    def working(self, model: str) -> Iterator[None]:
        """The block works on images of this model."""
        self._change(model, working=1)
        try:
            yield
        finally:
            self._change(model, working=-1)

    def done(self, model: str, images: int) -> None:
        """So many more are through, with a caption or without."""
        self._change(model, images=images)

    def measured(self) -> dict[str, float]:
        """Model to seconds per image, of those models of which an image was ever through."""
        with self._lock:
            for meter in self._meters.values():
                meter.advance(self._clock())
            return {name: m.busy_s / m.images for name, m in self._meters.items() if m.images}

    def _change(self, model: str, *, working: int = 0, images: int = 0) -> None:
        with self._lock:
            meter = self._meters.setdefault(model, _Meter())
            meter.advance(self._clock())
            meter.working += working
            meter.images += images
