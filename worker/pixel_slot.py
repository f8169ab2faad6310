"""A place in shared memory through which pixels come back from a child."""

import os
import secrets
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.images import Size


class PixelSlot:
    """Room for one picture's pixels, used again and again.

    The parent alone makes, grows and removes it, so it never outlives the parent, however a child
    ends. Only `free` may be called while a child writes.
    """

    def __init__(self) -> None:
        self._segment: SharedMemory | None = None

    def reserve(self, size: Size) -> str:
        """The name of a segment that holds (height, width, 3) bytes. OSError: no memory."""
        needed = size[0] * size[1] * 3
        if self._segment is None or self._segment.size < needed:
            self.free()
            name = f"captioner_{os.getpid()}_{secrets.token_hex(4)}"  # so that one sees whose it is
            self._segment = SharedMemory(name, create=True, size=needed)
            # Take the pages now: where /dev/shm is full, touching one later kills the process.
            with Path("/dev/shm", self._segment.name).open("r+b") as file:  # noqa: S108
                os.posix_fallocate(file.fileno(), 0, needed)
        return self._segment.name

    def read(self, size: Size) -> NDArray[np.uint8]:
        """A copy of the pixels, (height, width, 3), for a size that was found to be possible."""
        if self._segment is None:
            raise RuntimeError("reserve() comes before read()")
        return np.ndarray((*size, 3), np.uint8, buffer=self._segment.buf).copy()

    def free(self) -> None:
        """Give the memory back."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()
            segment.unlink()
