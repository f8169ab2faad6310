"""Turns to write: so many at once, the others wait in line."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from captioner.errors import DatabaseUnavailable

LOOK_S = 0.5


class Turns:
    """At most `places` blocks run at once. Thread-safe.

    Who waits longer than `patience_s`, or while `in_vain` says so, is sent away.
    """

    def __init__(self, places: int, *, patience_s: float, in_vain: Callable[[], bool]) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._patience_s = patience_s
        self._in_vain = in_vain

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn; it ends with the block. Raises `DatabaseUnavailable`."""
        deadline = time.monotonic() + self._patience_s
        while not self._places.acquire(timeout=LOOK_S):
            if self._in_vain():
                raise DatabaseUnavailable("The database does not answer. Try again shortly.")
            if time.monotonic() > deadline:
                raise DatabaseUnavailable("The database has too much to write. Try again shortly.")
        try:
            yield
        finally:
            self._places.release()
