"""Dynamic batching: one thread runs whatever has gathered while the last batch ran.

An idle batcher runs a single item at once; a busy one fills its batches. It knows nothing of
images, models or Celery. Every future is resolved, whatever the run function does.

`line` says who goes next, `ceiling` how many memory allows, and `costs` how long that takes.
"""

import threading
import time
import traceback
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from captioner.errors import ShuttingDown
from worker.ceiling import Ceiling
from worker.costs import Costs
from worker.line import Line

Item = TypeVar("Item")
Result = TypeVar("Result")

HURRY_S = 30.0
"""How long after an item in a hurry the batches of the others are short, as more may come."""
SHORT = 2.0
"""A short batch takes so many times as long as one item by itself, at most."""
LITTLE = 1.25
"""Others go along with items in a hurry where that takes no longer than so many times as long."""


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
    rank: float
    hurried: bool
    future: "Future[Done[Result]]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher(Generic[Item, Result]):
    """Runs items of one group together, at most `max_batch` at once, in order of rank.

    `run` takes the group and a list and returns a list of the same length and order. When it
    raises `MemoryError`, the batch is halved, and later batches are no larger than what worked;
    after many of those one more item is tried. When it raises anything else, each item runs again
    by itself, so that only the one at fault fails. Items submitted `alone` never share a batch. One
    whose future is canceled while it waits is not run.

    A group waits for other groups for a bounded number of batches: see `Line`. An item in a hurry
    that is next by rank waits for the batch that runs, and while such items come, that is short.
    """

    def __init__(
        self,
        run: Callable[[Hashable, list[Item]], Sequence[Result]],
        *,
        max_batch: int,
        name: str = "batcher",
    ) -> None:
        self._run = run
        self._ceiling = Ceiling(max_batch)
        self._costs = Costs()
        self._line: Line[_Entry[Item, Result]] = Line()
        self._short_until = 0.0
        self._arrived = threading.Condition()
        self._closed = False
        self._running_since: float | None = None
        self.took_s = 0.0
        """How long the last batch took; 0 before there was one."""
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def limit(self) -> int:
        """The largest batch that will be tried next."""
        return self._ceiling.limit

    @property
    def running_s(self) -> float:
        """How long the batch that runs has been running; 0 when none does."""
        since = self._running_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def waiting(self) -> int:
        """Items that no batch has taken yet."""
        return len(self._line)

    def submit(
        self,
        item: Item,
        *,
        group: Hashable = None,
        alone: bool = False,
        rank: float = 0.0,
        hurried: bool = False,
    ) -> "Future[Done[Result]]":
        """Queue an item. The future resolves to `Done`, or raises what its run raised.

        The least `rank` goes first, and of equal ones the first to come. Who is `hurried` shares a
        batch with others only where it is hardly longer for that.
        """
        entry: _Entry[Item, Result] = _Entry(item, group, alone, rank, hurried)
        with self._arrived:
            if self._closed:
                entry.future.set_exception(ShuttingDown("The batcher is closed."))
            else:
                self._line.add(entry)
                if hurried:
                    self._short_until = entry.since + HURRY_S
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
        for entry in self._line.clear():
            if entry.future.set_running_or_notify_cancel():
                entry.future.set_exception(ShuttingDown("The batcher was closed."))

    def _gather(self) -> list[_Entry[Item, Result]] | None:
        """The next item and those that may run with it; `None` once closed."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._line or self._closed)
            if self._closed:
                return None
            self._line.drop(_withdrawn)
            batch = self._line.take(most=self._most) if self._line else []
        return [e for e in batch if e.future.set_running_or_notify_cancel()]

    def _most(self, hurried: int) -> int:
        """The size of a batch, by how many of those who would go are in a hurry."""
        limit = self._ceiling.limit
        if hurried:
            return self._costs.largest(as_long_as=hurried, times=LITTLE, most=limit)
        if time.monotonic() < self._short_until:
            return self._costs.largest(as_long_as=1, times=SHORT, most=limit)
        return limit

    def _attempt(self, batch: list[_Entry[Item, Result]]) -> None:
        if not batch:
            return
        started = self._running_since = time.monotonic()
        made = self._made(batch)
        self._running_since = None
        if isinstance(made, BaseException):
            self._split(batch, made)
            return
        run_s = self.took_s = time.monotonic() - started
        self._ceiling.worked(len(batch))
        self._costs.learn(len(batch), run_s)
        for entry, result in zip(batch, made, strict=True):
            wait_ms = (started - entry.since) * 1e3
            entry.future.set_result(Done(result, wait_ms, run_s * 1e3, len(batch)))

    def _made(self, batch: list[_Entry[Item, Result]]) -> list[Result] | BaseException:
        """The results, or what was raised instead: without what the run held in its variables."""
        try:
            results = list(self._run(batch[0].group, [entry.item for entry in batch]))
            if len(results) != len(batch):
                raise RuntimeError(f"{len(batch)} items went in, {len(results)} results came out")
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            _let_go(error)
            return error
        return results

    def _split(self, batch: list[_Entry[Item, Result]], error: BaseException) -> None:
        if len(batch) == 1:
            batch[0].future.set_exception(error)
        elif isinstance(error, MemoryError):
            self._ceiling.failed(len(batch))
            half = len(batch) // 2
            self._attempt(batch[:half])
            self._attempt(batch[half:])
        else:
            for entry in batch:
                self._attempt([entry])


def _let_go(error: BaseException) -> None:
    """Empty the variables of the calls that an error went through, and those it came of.

    A traceback keeps them, and so the memory of a batch that had too little, while others run.
    """
    seen: set[int] = set()
    linked: list[BaseException | None] = [error]
    while linked:
        each = linked.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            linked += [each.__cause__, each.__context__]


def _withdrawn(entry: "_Entry[Item, Result]") -> bool:
    """Whether its future was canceled, which is then told to those who wait for it."""
    return entry.future.cancelled() and not entry.future.set_running_or_notify_cancel()
