"""How long batches take, by their size: measured lately, and guessed between."""

import time
from bisect import bisect_left
from collections.abc import Callable

FORGOTTEN_S = 120.0
"""Age at which a measurement counts no more: what was slow once is tried again."""
NEW = 0.3
"""Weight of the newest measurement of a size."""


class Costs:
    """Seconds of batches of each size. What is between two sizes is taken to be between their
    times, and what is beyond them to be in proportion.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[int, tuple[float, float]] = {}  # size -> seconds, when

    def learn(self, size: int, seconds: float) -> None:
        """A batch of so many items took so long."""
        now = self._clock()
        self._known = {n: at for n, at in self._known.items() if now - at[1] < FORGOTTEN_S}
        before = self._known.get(size, (seconds, now))[0]
        self._known[size] = (before + NEW * (seconds - before), now)

    def of(self, size: int) -> float | None:
        """Seconds that a batch of this size will take; `None` before any was measured."""
        sizes = sorted(self._known)
        if not sizes:
            return None
        place = bisect_left(sizes, size)
        if place == len(sizes) or (place == 0 and size < sizes[0]):
            nearest = sizes[min(place, len(sizes) - 1)]
            return self._known[nearest][0] * size / nearest
        above = sizes[place]
        below = sizes[place - 1] if size < above else above
        low, high = self._known[below][0], self._known[above][0]
        return low if above == below else low + (high - low) * (size - below) / (above - below)

    def largest(self, *, as_long_as: int, times: float, most: int) -> int:
        """The largest batch, at most `most`, that takes no longer than so many times what one of
        `as_long_as` items takes; not smaller than that one. `most` before any was measured.
        """
        one = self.of(as_long_as)
        if one is None:
            return most
        size = min(as_long_as, most)
        while size < most and (self.of(size + 1) or 0.0) <= times * one:
            size += 1
        return size
