"""The line before an engine: who goes next, and who may go along."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, Protocol, TypeVar

TURN = 4
"""Every so many batches, one is of the group that was passed over most often."""


class Waiting(Protocol):
    """One in line."""

    @property
    def group(self) -> Hashable:
        """Only those of one group may go together."""

    @property
    def alone(self) -> bool:
        """Whether it goes with nobody."""

    @property
    def rank(self) -> float:
        """The least goes first; of equal ones, the first to come."""

    @property
    def hurried(self) -> bool:
        """Whether others go along only where that costs it little time."""


One = TypeVar("One", bound=Waiting)


class Line(Generic[One]):
    """Those who wait. Of G groups, each has one of any G x `TURN` batches at least."""

    def __init__(self) -> None:
        self._waiting: list[One] = []
        self._passed: dict[Hashable, int] = {}
        self._batches = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, one: One) -> None:
        """One more at the end of those of its rank."""
        self._waiting.append(one)

    def drop(self, gone: Callable[[One], bool]) -> None:
        """Take out those of whom this is true."""
        self._waiting = [one for one in self._waiting if not gone(one)]

    def clear(self) -> list[One]:
        """Take out all."""
        everyone, self._waiting = self._waiting, []
        return everyone

    def take(self, *, most: Callable[[int], int]) -> list[One]:
        """Take out the next batch; there must be somebody.

        `most` gives the size of a batch that is led by somebody in a hurry, from the number of
        those in a hurry who may go; for 0, the size of any other.
        """
        ordered = sorted(self._waiting, key=lambda one: one.rank)
        first = self._first(ordered)
        fitting = [first, *(one for one in ordered if _together(first, one))]
        if first.hurried:
            fitting.sort(key=lambda one: not one.hurried)
        batch = fitting[: most(sum(one.hurried for one in fitting) if first.hurried else 0)]
        chosen = set(map(id, batch))
        self.drop(lambda one: id(one) in chosen)
        return batch

    def _first(self, ordered: Iterable[One]) -> One:
        """The one of the least rank, but at every turn that of the group that waits longest."""
        firsts: dict[Hashable, One] = {}
        for one in ordered:
            firsts.setdefault((one.group, one.alone), one)
        self._batches += 1
        passed = {group: self._passed.get(group, 0) + 1 for group in firsts}
        chosen = next(iter(firsts))
        if self._batches % TURN == 0:
            chosen = max(firsts, key=passed.__getitem__)
        passed.pop(chosen)
        self._passed = passed
        return firsts[chosen]


def _together(first: One, other: One) -> bool:
    if first is other or first.alone or other.alone:
        return False
    return first.group is other.group or first.group == other.group
