"""Which models have a place in memory, when there are fewer places than models.

A model that has work keeps its place, and one that is idle gives it to whoever waits: the one that
was used least lately goes first. Where all have work, the one that was there for longest goes on
for a turn, counted from when another began to wait; then whoever comes for it waits, and it goes
once those that use it are through. So requests for different models are worked on in groups, and
none waits for more than the turns of those that came before.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from captioner.errors import ShuttingDown

LINGER_S = 0.2
"""How long a model keeps its place unused while another waits: its next message may be coming."""
LOOK_S = 0.1


class Unwanted(Exception):
    """What a place was asked for has been done meanwhile; nobody had to go."""


@dataclass
class _Wait:
    since: float
    callers: int = 0


class Places:
    """Places for so many models; 0: for all. Thread-safe.

    `empty` is called with a model that has lost its place, and frees what it took; then the place
    is another's.
    """

    def __init__(
        self,
        capacity: int,
        *,
        turn_s: float,
        empty: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._turn_s = turn_s
        self._empty = empty
        self._clock = clock
        self._changed = threading.Condition()
        self._since: dict[str, float] = {}  # who has a place, and since when
        self._used: dict[str, float] = {}
        self._users: Counter[str] = Counter()
        self._waits: dict[str, _Wait] = {}
        self._closed = False

    def has_room(self) -> bool:
        """Whether there is a place that nobody has, or waits for."""
        with self._changed:
            return not self._capacity or len(self._since) + len(self._waits) < self._capacity

    @contextmanager
    def using(self, model: str, *, wanted: Callable[[], bool] | None = None) -> Iterator[None]:
        """Wait for a place for the model; it keeps it at least until the block ends.

        Before another has to go for it, `wanted` is asked. Raises `Unwanted` where it says no, and
        `ShuttingDown` once closed.
        """
        with self._changed:
            self._enter(model, wanted)
        try:
            yield
        finally:
            with self._changed:
                self._users[model] -= 1
                self._used[model] = self._clock()
                self._changed.notify_all()

    def begin(self, model: str) -> None:
        """The turn of a model that has a place begins now: it is loaded."""
        with self._changed:
            if model in self._since:
                self._since[model] = self._clock()

    def give_up(self, model: str) -> None:
        """The model has no use for its place: it could not be loaded."""
        with self._changed:
            self._since.pop(model, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Send away who waits, and who comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _enter(self, model: str, wanted: Callable[[], bool] | None) -> None:
        wait = self._waits.setdefault(model, _Wait(self._clock()))
        wait.callers += 1
        try:
            while not self._closed and not self._admitted(model, wanted):
                self._changed.wait(LOOK_S)
            if self._closed:
                raise ShuttingDown("This worker is draining.")
        finally:
            wait.callers -= 1
            if not wait.callers:
                del self._waits[model]
        self._users[model] += 1

    def _admitted(self, model: str, wanted: Callable[[], bool] | None) -> bool:
        if model in self._since:
            return not self._must_go(model)
        if self._capacity and len(self._since) >= self._capacity:
            leaving = self._leaving() if model == self._next() else None
            if leaving is None:
                return False
            if wanted is not None and not wanted():
                raise Unwanted
            del self._since[leaving]
            self._empty(leaving)
        self._since[model] = self._used[model] = self._clock()
        self._changed.notify_all()
        return True

    def _next(self) -> str | None:
        """Who waits for longest without a place."""
        outside = [model for model in self._waits if model not in self._since]
        return min(outside, key=lambda model: self._waits[model].since, default=None)

    def _leaving(self) -> str | None:
        """Who may lose its place right now."""
        now = self._clock()
        free = [
            model
            for model in self._since
            if not self._users[model]
            and (now - self._used[model] >= LINGER_S or self._must_go(model))
        ]
        return min(free, key=self._used.__getitem__, default=None)

    def _must_go(self, model: str) -> bool:
        """Whether its turn is over: another waits, and it has been there for longest."""
        following = self._next()
        if following is None or model != min(self._since, key=self._since.__getitem__):
            return False
        if len(self._since) < self._capacity:
            return False
        began = max(self._since[model], self._waits[following].since)
        return self._clock() - began >= self._turn_s
