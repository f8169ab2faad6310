"""The pictures of a form in one temporary file, however many they are.

Werkzeug's own way takes a file for each large picture, and up to half a megabyte of memory for each
small one: a thousand of them would be too much of either.
"""

from typing import IO

MEMORY_BYTES = 2**20
"""What a form holds in memory; more goes to the folder for temporary files, without a name."""


class Part:
    """One picture in the spool: written first, then read. Never two parts at the same time."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._start = spool.seek(0, 2)
        self._size = 0
        self._at = 0

    def write(self, data: bytes) -> int:
        """Add to the end. Raises `OSError` when the disk is full."""
        self._spool.seek(self._start + self._size)
        self._size += self._spool.write(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in this part, as a file does."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """The place in this part."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """So many bytes of this part; with -1, the rest of it."""
        left = max(self._size - self._at, 0)
        self._spool.seek(self._start + self._at)
        data = self._spool.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def close(self) -> None:
        """Nothing: the spool ends with its request."""
