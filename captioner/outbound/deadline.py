"""A point in time that a whole call shares, however many steps it takes."""

import socket
import threading
import time
from contextlib import suppress


class Deadline:
    """Ends `seconds` after it was made, or when it is cut. Thread-safe."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []

    def left_s(self) -> float:
        """Seconds left, above 0. Raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left

    def end_within(self, seconds: float) -> None:
        """Let it end in `seconds` at the latest."""
        self._end = min(self._end, time.monotonic() + seconds)

    def watch(self, connection: socket.socket) -> None:
        """Have `cut` end the waiting on this connection too."""
        with self._lock:
            self._connections.append(connection)

    def cut(self) -> None:
        """End it now, from another thread: who waits on a watched connection hears of its end."""
        self.end_within(0)
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # closed already
                    # Not TLS's own way to end: its state is the waiting thread's.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
