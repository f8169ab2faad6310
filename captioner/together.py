"""Group commit: what many threads want to write at the same time goes into one transaction.

Whoever comes first writes for all who came until then; those who come meanwhile are written next,
by one of them, a short rest after the write before. So a lone write is as quick as ever, and many
are few transactions.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from captioner.errors import DatabaseUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST = 64
"""Items in one transaction: so many that its own cost is spread thin, and locks are held shortly.
"""
REST_S = 0.01
"""From the end of a write to the beginning of the next, unless `ENOUGH` wait for it."""
ENOUGH = 16


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
        self._rested_at = 0.0
        self._changed = threading.Condition()

    def __call__(self, item: Item) -> Answer:
        """The answer to this item. Raises what its write raised."""
        entry: _Entry[Item, Answer] = _Entry(item)
        with self._changed:
            self._waiting.append(entry)
            if self._busy and len(self._waiting) == ENOUGH:
                self._changed.notify_all()
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
            rest_s = self._rested_at - time.monotonic()
            self._changed.wait_for(lambda: len(self._waiting) >= ENOUGH, timeout=max(rest_s, 0))
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._attempt(batch)
        finally:
            with self._changed:
                self._busy = False
                self._rested_at = time.monotonic() + REST_S
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
