"""A file system that is brought to the disk as a whole: many files for about the price of one.

`fsync` of a new small file takes longer than all else that is done for it. `syncfs` brings all that
was written so far in one call; PostgreSQL's tools use it likewise (`--sync-method=syncfs`). It
brings what others wrote, too: where that takes long, it is left alone for a while.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

KINDS = ("ext4", "xfs")
"""File systems that are known to do it."""
FIRST = (5, 8)
"""The Linux since which the call says that something could not be written (syncfs(2), BUGS)."""
SLOW_S = 0.25
"""A call that takes longer has brought much of what others wrote."""
LEFT_S = 60.0
"""How long it is left alone then."""


class Volume:
    """The file system of a folder. Thread-safe. Opens nothing before it is asked."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._slow_until = 0.0

    @contextmanager
    def opened(self) -> "Iterator[Opened | None]":
        """For what is written in the block; `None` where files are to be brought one by one."""
        descriptor = None
        if time.monotonic() >= self._slow_until and _is_able(self._folder):
            with suppress(OSError):  # whoever writes there says so
                descriptor = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield None if descriptor is None else Opened(self, descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def took(self, seconds: float) -> None:
        """Told how long a call took."""
        if seconds > SLOW_S:
            self._slow_until = time.monotonic() + LEFT_S


class Opened:
    """Brings all to the disk that was written since it was opened."""

    def __init__(self, volume: Volume, descriptor: int) -> None:
        self._volume = volume
        self._descriptor = descriptor

    def sync(self) -> None:
        """Returns when it is there. Raises `OSError`, also for what others could not write."""
        started = time.monotonic()
        if _libc().syncfs(self._descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._volume.took(time.monotonic() - started)


def _is_able(folder: str) -> bool:
    try:
        device = Path(folder).stat().st_dev
    except OSError:  # it is made with its first file
        return False
    return _kind(device) in KINDS and _says_what_failed()


@lru_cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@lru_cache
def _says_what_failed() -> bool:
    system, release = os.uname().sysname, os.uname().release
    with suppress(ValueError):
        major, minor = map(int, release.split(".")[:2])
        return system == "Linux" and (major, minor) >= FIRST and hasattr(_libc(), "syncfs")
    return False


@lru_cache
def _kind(device: int) -> str | None:
    """What the file system of a device is called (proc(5), mountinfo)."""
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[2] == number:
                return after.split()[0]
    return None
