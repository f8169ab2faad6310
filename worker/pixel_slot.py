"""A place in shared memory through which pixels come back from a child."""

import os
import secrets
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.images import Size


def bytes_of(size: Size) -> int:
    """What the pixels of one picture take."""
    return size[0] * size[1] * 3


def _take_pages(name: str, size: int) -> None:
    # Now: where /dev/shm is full, touching one later kills the process.
    with Path("/dev/shm", name).open("r+b") as file:  # noqa: S108
        os.posix_fallocate(file.fileno(), 0, size)


class PixelSlot:
    """Room for the pixels of one picture, or of a few of one size, used again and again.

    The parent alone makes, grows and removes it, so it never outlives the parent, however a child
    ends. Only `free` may be called while a child writes.
    """

    def __init__(self) -> None:
        self._segment: SharedMemory | None = None

    def reserve(self, size: Size, *, pictures: int = 1) -> str:
        """The name of a segment that holds so many times (height, width, 3) bytes, one after
        another, and a byte more. OSError: no memory.
        """
        needed = pictures * bytes_of(size) + 1
        if self._segment is None or self._segment.size < needed:
            self.free()
            name = f"captioner_{os.getpid()}_{secrets.token_hex(4)}"  # so that one sees whose it is
            self._segment = SharedMemory(name, create=True, size=needed)
            try:
                _take_pages(self._segment.name, needed)
            except OSError:
                self.free()
                raise
        return self._segment.name

    def read(self, size: Size, *, offset: int = 0) -> NDArray[np.uint8]:
        """A copy of the pixels, (height, width, 3), for a size that was found to be possible.

        `offset`: bytes from the beginning of the segment.
        """
        if self._segment is None:
            raise RuntimeError("reserve() comes before read()")
        return np.ndarray((*size, 3), np.uint8, buffer=self._segment.buf, offset=offset).copy()

    def byte(self, at: int) -> int:
        """One byte of the segment."""
        if self._segment is None:
            raise RuntimeError("reserve() comes before byte()")
        return int(np.ndarray((1,), np.uint8, buffer=self._segment.buf, offset=at)[0])

    def free(self) -> None:
        """Give the memory back."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()
            segment.unlink()
