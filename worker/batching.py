"""Dynamic batching: one thread runs whatever has gathered while the last batch ran.

An idle batcher runs a single item at once; a busy one fills its batches. It knows nothing of
images, models or Celery. Every future is resolved, whatever the run function does.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from captioner.errors import ShuttingDown

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Result]):
    """A result, how long its item waited for a batch, and what that batch was."""

    result: Result
    wait_ms: float
    run_ms: float
    batch_size: int


@dataclass(eq=False)
class _Entry(Generic[Item, Result]):
    item: Item
    group: Hashable
    alone: bool
    future: "Future[Done[Result]]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Result]):
    """Runs items of one group together, at most `max_batch` at once, in order of arrival.

    `run` takes the group and a list and returns a list of the same length and order. When it
    raises `out_of_memory`, the batch is halved, and later batches are no larger than what worked.
    When it raises anything else, each item runs again by itself, so that only the one at fault
    fails. Items submitted `alone` never share a batch. One whose future is canceled while it
    waits is not run.
    """

    def __init__(
        self,
        run: Callable[[Hashable, list[Item]], Sequence[Result]],
        *,
        max_batch: int,
        out_of_memory: tuple[type[BaseException], ...] = (MemoryError,),
        name: str = "batcher",
    ) -> None:
        self._run = run
        self._limit = max_batch
        self._out_of_memory = out_of_memory
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._arrived = threading.Condition()
        self._closed = False
        self._running_since: float | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def limit(self) -> int:
        """The largest batch that will be tried next."""
        return self._limit

    @property
    def running_s(self) -> float:
        """How long the batch that runs has been running; 0 when none does."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    def submit(
        self, item: Item, *, group: Hashable = None, alone: bool = False
    ) -> "Future[Done[Result]]":
        """Queue an item. The future resolves to `Done`, or raises what its run raised."""
        entry: _Entry[Item, Result] = _Entry(item, group, alone)
        with self._arrived:
            if self._closed:
                entry.future.set_exception(ShuttingDown("The batcher is closed."))
            else:
                self._waiting.append(entry)
                self._arrived.notify()
        return entry.future

    def close_soon(self) -> None:
        """Let the batch that runs be the last one. Returns at once."""
        with self._arrived:
            self._closed = True
            self._arrived.notify()

    def close(self) -> None:
        """Finish the batch that runs, refuse the rest with `ShuttingDown`, end the thread."""
        self.close_soon()
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._gather()) is not None:
            self._attempt(batch)
        for entry in self._waiting:
            if entry.future.set_running_or_notify_cancel():
                entry.future.set_exception(ShuttingDown("The batcher was closed."))
        self._waiting.clear()

    def _gather(self) -> list[_Entry[Item, Result]] | None:
        """The oldest item and those that may run with it; `None` once closed."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._waiting = deque(e for e in self._waiting if not _withdrawn(e))
            if not self._waiting:
                return []
            first = self._waiting[0]
            fitting = [e for e in self._waiting if _together(first, e)][: self._limit]
            chosen = set(map(id, fitting))
            self._waiting = deque(e for e in self._waiting if id(e) not in chosen)
        return [e for e in fitting if e.future.set_running_or_notify_cancel()]

    def _attempt(self, batch: list[_Entry[Item, Result]]) -> None:
        if not batch:
            return
        started = self._running_since = time.monotonic()
        try:
            results = list(self._run(batch[0].group, [entry.item for entry in batch]))
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items went in, {len(results)} results came out")
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            self._running_since = None
            self._split(batch, error)
            return
        self._running_since = None
        run_ms = (time.monotonic() - started) * 1e3
        for entry, result in zip(batch, results, strict=True):
            wait_ms = (started - entry.since) * 1e3
            entry.future.set_result(Done(result, wait_ms, run_ms, len(batch)))

    def _split(self, batch: list[_Entry[Item, Result]], error: BaseException) -> None:
        if len(batch) == 1:
            batch[0].future.set_exception(error)
        elif isinstance(error, self._out_of_memory):
            half = len(batch) // 2
            self._limit = min(self._limit, max(1, half))
            self._attempt(batch[:half])
            self._attempt(batch[half:])
        else:
            for entry in batch:
                self._attempt([entry])


def _withdrawn(entry: "_Entry[Item, Result]") -> bool:
    """Whether its future was canceled, which is then told to those who wait for it."""
    return entry.future.cancelled() and not entry.future.set_running_or_notify_cancel()


def _together(first: "_Entry[Item, Result]", other: "_Entry[Item, Result]") -> bool:
    if first is other:
        return True
    return not first.alone and not other.alone and first.group == other.group
