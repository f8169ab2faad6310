"""Since when no worker has had each styler, as far as this process has seen.

A backlog may be long, and its styler slow: then images wait, and that is no reason to leave them
plain. It is one that nobody is there who could take them.
"""

import time
from collections.abc import Callable, Iterable

from captioner.styles import Styler
from models import Worker


class Absence:
    """Looks at the workers, again and again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen = dict.fromkeys(Styler, clock())

    def look(self, alive: Iterable[Worker]) -> None:
        """Those who are draining take nothing new, and count for nothing."""
        there = {name for each in alive if not each.draining for name in each.stylers or {}}
        self._seen |= {styler: self._clock() for styler in Styler if styler in there}

    def longer_than(self, seconds: float) -> list[Styler]:
        """The stylers that nobody has had for so long."""
        return [each for each in Styler if self._clock() - self._seen[each] >= seconds]
