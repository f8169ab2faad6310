"""Identical pictures that are in flight at the same time share one run of the engine.

The first asks the batcher; whoever comes while that is waiting or running joins it. Each has a
future of its own, so that one who leaves takes nothing from the others: only the last to leave
takes the run out of the batcher, and only when all of them are halted does the engine stop.
"""

import threading
from collections.abc import Hashable
from concurrent.futures import Future
from functools import partial
from typing import Any

from worker.batching import Batcher, Done
from worker.engines.protocol import Answer
from worker.engines.wishes import Halted, Wish

Batches = Batcher[Wish, Answer]


class Sharing:
    """Submits wishes to batchers. Thread-safe."""

    def __init__(self, *, on: bool = True) -> None:
        self._on = on
        # Held again by its holder: to cancel a future is to hear of its end.
        self._lock = threading.RLock()
        self._runs: dict[Hashable, _Run] = {}

    def submit(
        self,
        batcher: Batches,
        wish: Wish,
        *,
        key: Hashable,
        group: Hashable = None,
        rank: float = 0.0,
        hurried: bool = False,
    ) -> "Future[Done[Answer]]":
        """As `Batcher.submit`, but once for all wishes of one key that are in flight.

        A wish that has joined a run has that run's place in line, and its times. What the run
        raises, each raises.
        """
        submit = partial(batcher.submit, group=group, rank=rank, hurried=hurried)
        if not self._on:
            return submit(wish)
        with self._lock:
            run = self._runs.get(key)
            joined = run.join(wish.halt) if run is not None else None
            if joined is not None:
                return joined
            run = self._runs[key] = _Run(self._lock)
            first = run.add(wish.halt)
            run.future = submit(Wish(wish.pixels, run, wish.origin))
        run.future.add_done_callback(lambda _: self._end(key, run))
        return first

    def _end(self, key: Hashable, run: "_Run") -> None:
        with self._lock:
            if self._runs.get(key) is run:
                del self._runs[key]
        run.end()


class _Run:
    """One wish to a batcher, for all who share it. It is a halt, too: done once all theirs are."""

    future: "Future[Done[Answer]]"

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._shares: list[_Share] = []

    def add(self, halt: Halted) -> "_Share":
        share = _Share(self, halt)
        self._shares.append(share)
        return share

    def join(self, halt: Halted) -> "_Share | None":
        """One more share; `None` when it has ended, or is about to."""
        return None if self.done() or self.future.done() else self.add(halt)

    def done(self) -> bool:
        """Whether nobody wants it any more. Then nobody can join, so that it stays so."""
        with self._lock:
            return all(share.halt.done() for share in self._shares)

    def leave(self, share: "_Share") -> bool:
        """Whether the share could leave: it was not the last one, or nothing was begun."""
        with self._lock:
            if share not in self._shares:  # it has ended
                return False
            if len(self._shares) == 1 and not self.future.cancel():
                return False
            self._shares = [each for each in self._shares if each is not share]
            return True

    def end(self) -> None:
        """Tell all who are left what came of it."""
        with self._lock:
            if self.future.cancelled():
                return
            shares, self._shares = self._shares, []
        error = self.future.exception()
        for share in shares:
            if error is None:
                share.set_result(self.future.result())
            else:
                share.set_exception(error)


class _Share(Future[Any]):
    """The future of one who shares a run. To cancel it is to leave the run."""

    def __init__(self, run: _Run, halt: Halted) -> None:
        super().__init__()
        self.halt = halt
        self._run = run

    def cancel(self) -> bool:
        """Whether the run goes on without it, or was not begun."""
        return self._run.leave(self) and super().cancel()
