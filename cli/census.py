"""Notices, between two looks at the parts, which of them ended and were started again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cli.supervision import Part

STARTS_GIVEN_UP = 3
"""A part that ended so often before the first readiness will not mend itself."""


@dataclass(frozen=True)
class Restart:
    """A part that runs again, as another process."""

    name: str
    pid: int


class Census:
    """Remembers every start that was seen."""

    def __init__(self) -> None:
        self._starts: dict[str, set[int]] = {}
        self._pids: dict[str, int] = {}
        self._ends: Counter[str] = Counter()

    def look(self, parts: Sequence[Part]) -> list[Restart]:
        """Take in how the parts are now; returns those that were started again since."""
        return [Restart(part.name, part.pid) for part in parts if self._is_restarted(part)]

    def hopeless(self) -> str | None:
        """The name of a part that keeps ending, if there is one."""
        ended = (name for name, times in self._ends.items() if times >= STARTS_GIVEN_UP)
        return next(ended, None)

    def _is_restarted(self, part: Part) -> bool:
        if not part.started:
            return False
        starts = self._starts.setdefault(part.name, set())
        if starts and part.started not in starts:
            self._ends[part.name] += 1
        starts.add(part.started)
        before = self._pids.get(part.name)
        if part.pid:
            self._pids[part.name] = part.pid
        return bool(part.pid and before and part.pid != before)
