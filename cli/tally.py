"""Counts a run: found, captioned, failed, skipped; how fast, and what is left."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """The counts of one run. It changes under the run's lock only."""

    found: int | None = None
    """Pictures in all; None while a list on stdin is still coming."""
    captioned: int = 0
    failed: int = 0
    skipped: int = 0
    unfinished: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def finished(self) -> int:
        """Pictures that need nothing more."""
        return self.captioned + self.failed + self.skipped

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self.started, 1e-6)

    @property
    def rate(self) -> float:
        """Pictures captioned in a second."""
        return self.captioned / self.elapsed_s

    @property
    def left_s(self) -> float | None:
        """Seconds still to go at this pace; None where nobody can know."""
        worked = self.captioned + self.failed
        if self.found is None or not worked:
            return None
        return (self.found - self.finished) * self.elapsed_s / worked

    def summary(self) -> str:
        """The last line of a run."""
        parts = [f"{self.captioned} captioned", f"{self.failed} failed", f"{self.skipped} skipped"]
        left = "the rest" if self.found is None else self.found - self.finished
        if self.unfinished and left:
            parts.append(f"{left} not tried")
        return f"{', '.join(parts)} in {duration(self.elapsed_s)} ({self.rate:.1f} images/s)"

    def line(self) -> str:
        """A line of progress, where no bar can be drawn."""
        of = "" if self.found is None else f" of {self.found}"
        left = "" if self.left_s is None else f", about {duration(self.left_s)} left"
        return f"{self.finished}{of} done, {self.failed} failed, {self.rate:.1f} images/s{left}"


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 59.95:  # else it would read 60.0 s
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
