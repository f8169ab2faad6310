"""How many images a process takes in hand before the first of them are through."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from captioner.errors import ShuttingDown

BATCHES = 8
"""Enough that decoding and the next batches never wait; few enough that a killed process takes
little along. Small jobs do not wait for room: see `worker.overtaking`."""
LOOK_S = 0.5


class Room:
    """Room for so many images. Thread-safe."""

    def __init__(self, images: int, *, leaving: threading.Event) -> None:
        self._free = self._all = images
        self._leaving = leaving
        self._changed = threading.Condition()
        self._asking = 0

    @property
    def crowded(self) -> bool:
        """Whether somebody waits for room."""
        return self._asking > 0

    @contextmanager
    def taking(self, images: int) -> Iterator[None]:
        """Wait for room for so many, or for all of it if they are more; then hold it.

        Raises `ShuttingDown` when the process is leaving.
        """
        wanted = min(images, self._all)
        with self._changed:
            self._asking += 1
            try:
                while self._free < wanted and not self._leaving.is_set():
                    self._changed.wait(LOOK_S)
            finally:
                self._asking -= 1
            if self._leaving.is_set():
                raise ShuttingDown("This worker is draining.")
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()
