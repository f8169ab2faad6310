"""Files that appear whole, and last: many of them for about the wait of one.

Each is written beside its place first. Then all are brought to the disk, get their names, and their
folders are brought to the disk. A few are brought one by one, at the same time, which a file system
does in one go; many with all that is on their `Volume`.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

from captioner.volumes import Opened

SYNCS = 8
"""Threads in which one process brings files to the disk: a request's files are spread over them."""
MANY = 8
"""So many new files are brought to the disk with their whole volume."""
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Writing:
    """Files on their way. Not thread-safe: one for each request.

    `volume`: where they all lie, opened before the first is written.
    """

    def __init__(
        self, threads: Callable[[], ThreadPoolExecutor], volume: Opened | None = None
    ) -> None:
        self._threads = threads
        self._volume = volume
        self._parts: dict[str, str | None] = {}

    def add(self, path: str, data: bytes) -> None:
        """Write a file that is not there yet. It is there after `end`."""
        if path in self._parts:
            return
        part = None
        if not os.path.exists(path):
            folder, name = os.path.split(path)
            part = f"{folder}/.{name}.{uuid4().hex}.part"
        self._parts[path] = part
        if part is not None:
            _write(part, data)

    def end(self) -> None:
        """Let all of them appear. Raises `OSError`; those that appeared by then are whole."""
        parts = {path: part for path, part in self._parts.items() if part is not None}
        whole = self._volume if len(parts) >= MANY else None
        self._sync_all(parts.values(), whole)
        for path, part in parts.items():
            os.replace(part, path)
            self._parts[path] = None
        # Also of a file that another thread has only just put there.
        self._sync_all({os.path.dirname(path) for path in self._parts}, whole)

    def drop(self) -> None:
        """Leave no part behind."""
        for part in self._parts.values():
            if part is not None:
                with suppress(OSError):  # what kept it from being written may keep it from this
                    os.unlink(part)

    def _sync_all(self, paths: Iterable[str], whole: Opened | None) -> None:
        if whole is not None:
            whole.sync()
            return
        ordered = list(paths)
        shares = [share for n in range(SYNCS) if (share := ordered[n::SYNCS])]
        under_way = [self._threads().submit(_sync, share) for share in shares[1:]]
        try:
            for share in shares[:1]:
                _sync(share)
        finally:
            faults = [future.exception() for future in under_way]
        for fault in faults:
            if fault is not None:
                raise fault


# Paths are text and files are descriptors, as there are many of them: path objects cost more than
# the calls, and a file object calls more. Each call gives up the interpreter's lock, and with other
# threads at work, to get that back takes longest.


def _write(path: str, data: bytes) -> None:
    """Write a new file, in a folder that may not be there yet."""
    try:
        descriptor = os.open(path, NEW, 0o666)
    except FileNotFoundError:
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        _sync([os.path.dirname(folder)])
        descriptor = os.open(path, NEW, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def read(path: str) -> bytes:
    """All of a file. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        left = os.fstat(descriptor).st_size
        pieces = []
        while left > 0 and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(descriptor)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sync(paths: Iterable[str]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
