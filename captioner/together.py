"""Group commit: what many threads want to write at the same time goes into one transaction.

Who comes first writes for himself. A thread writes whatever came meanwhile; after a write of
several, it rests shortly. So a lone write is as quick as ever, also one after another, and many are
few transactions.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from captioner.errors import DatabaseUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST = 64
"""Items in one transaction: so many that its own cost is spread thin, and locks are held shortly.
"""
REST_S = 0.01
"""From the end of a write of several to the beginning of the next, unless `ENOUGH` wait for it."""
ENOUGH = 16


class Together(Generic[Item, Answer]):
    """Calls `write` with the items of many callers, one call at a time. Thread-safe.

    `write` takes a list and returns an answer for each, in order. When it raises, each item is
    written by itself, so that only the one at fault fails; but an absent database is the fault of
    none, and all of them are told. `impatient`: so is everybody who waits then, and who comes while
    it is asked again, so that callers do not pile up behind a database that is silent.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], Sequence[Answer]],
        *,
        name: str,
        rest_s: float = REST_S,
        impatient: bool = False,
    ) -> None:
        self._write = write
        self._name = name
        self._rest_s = rest_s
        self._impatient = impatient
        self._away: DatabaseUnavailable | None = None
        self._busy = self._resting = False
        self._waiting: list[tuple[Item, Future[Answer]]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> "Future[Answer]":
        """Have it written; returns at once. The future raises what its write raised."""
        future: Future[Answer] = Future()
        with self._changed:
            if self._impatient and self._away is not None and self._busy:
                future.set_exception(_again(self._away))
                return future
            self._start()
            self._waiting.append((item, future))
            if len(self._waiting) in (1, ENOUGH):
                self._changed.notify()
        return future

    def __call__(self, item: Item) -> Answer:
        """The answer to this item, once it is written: by its caller where nobody else writes."""
        with self._changed:
            alone = not (self._busy or self._resting or self._waiting)
            self._busy = self._busy or alone
        if not alone:
            return self.put(item).result()
        future: Future[Answer] = Future()
        try:
            self._attempt([(item, future)])
        finally:
            with self._changed:
                self._over()
                self._changed.notify()
        return future.result()

    def _start(self) -> None:
        # in the process that writes, not in the one it was forked from
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting and not self._busy)
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                self._busy = True
            self._attempt(batch)
            alone = len(batch) == 1
            del batch  # a picture's caption is not kept while nothing comes
            with self._changed:
                self._over()
                if not alone:
                    self._resting = True
                    self._changed.wait_for(
                        lambda: len(self._waiting) >= ENOUGH, timeout=self._rest_s
                    )
                    self._resting = False

    def _over(self) -> None:
        """The end of a write. The impatient hear at once that the database is away."""
        self._busy = False
        if self._impatient and self._away is not None:
            told, self._waiting = self._waiting, []
            for _, future in told:
                future.set_exception(_again(self._away))

    def _attempt(self, batch: "list[tuple[Item, Future[Answer]]]") -> None:
        try:
            answers = self._write([item for item, _ in batch])
        except DatabaseUnavailable as error:
            self._away = error
            for _, future in batch:
                future.set_exception(_again(error))
            return
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:
                for each in batch:
                    self._attempt([each])
            return
        self._away = None
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)


def _again(error: DatabaseUnavailable) -> DatabaseUnavailable:
    """The same for another caller: what is raised in two threads gathers the traces of both."""
    return DatabaseUnavailable(error.detail)
