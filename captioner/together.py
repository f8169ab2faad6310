"""Group commit: what many threads want to write at the same time goes into one transaction.

Whoever comes first writes for all who came until then; those who come meanwhile are written next,
by one of them. Nobody waits for others to come, so that a lone write is as quick as ever.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from captioner.errors import DatabaseUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST = 64
"""Items in one transaction: so many that its own cost is spread thin, and locks are held shortly.
"""


@dataclass(eq=False)
class _Entry(Generic[Item, Answer]):
    item: Item
    done: bool = False
    answer: Answer | None = None
    error: BaseException | None = None


class Together(Generic[Item, Answer]):
    """Calls `write` with the items of many callers, one call at a time. Thread-safe.

    `write` takes a list and returns an answer for each, in order. When it raises, each item is
    written by itself, so that only the one at fault fails; but an absent database is the fault of
    none, and all of them are told.
    """

    def __init__(self, write: Callable[[list[Item]], Sequence[Answer]]) -> None:
        self._write = write
        self._waiting: list[_Entry[Item, Answer]] = []
        self._busy = False
        self._changed = threading.Condition()

    def __call__(self, item: Item) -> Answer:
        """The answer to this item. Raises what its write raised."""
        entry: _Entry[Item, Answer] = _Entry(item)
        with self._changed:
            self._waiting.append(entry)
        while not entry.done:
            self._lead_or_wait(entry)
        if entry.error is not None:
            raise entry.error
        return entry.answer  # type: ignore[return-value] # it is there, as there was no error

    def _lead_or_wait(self, entry: _Entry[Item, Answer]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: entry.done or not self._busy)
            if entry.done:
                return
            self._busy = True
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._attempt(batch)
        finally:
            with self._changed:
                self._busy = False
                for each in batch:
                    each.done = True
                self._changed.notify_all()

    def _attempt(self, batch: list[_Entry[Item, Answer]]) -> None:
        try:
            answers = self._write([entry.item for entry in batch])
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            if len(batch) == 1 or isinstance(error, DatabaseUnavailable):
                for entry in batch:
                    entry.error = error
            else:
                for entry in batch:
                    self._attempt([entry])
            return
        for entry, answer in zip(batch, answers, strict=True):
            entry.answer = answer
