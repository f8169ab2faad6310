"""Files that appear whole, and last: many of them for about the wait of one.

Each is written beside its place first. Then all are brought to the disk at the same time, which a
file system does in one go, get their names, and their folders are brought to the disk likewise.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

SYNCS = 16
"""Files that one process brings to the disk at once."""


class Writing:
    """Files on their way. Not thread-safe: one for each request."""

    def __init__(self, threads: Callable[[], ThreadPoolExecutor]) -> None:
        self._threads = threads
        self._parts: dict[Path, Path | None] = {}

    def add(self, path: Path, data: bytes) -> None:
        """Write a file that is not there yet. It is there after `end`."""
        if path in self._parts:
            return
        part = None
        if not path.exists():
            folder = path.parent
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                _sync(folder.parent)
            part = path.with_name(f".{path.name}.{uuid4().hex}.part")
        self._parts[path] = part
        if part is not None:
            with part.open("xb") as file:
                file.write(data)

    def end(self) -> None:
        """Let all of them appear. Raises `OSError`; those that appeared by then are whole."""
        parts = {path: part for path, part in self._parts.items() if part is not None}
        self._sync_all(parts.values())
        for path, part in parts.items():
            part.replace(path)
        # Also of a file that another thread has only just put there.
        self._sync_all({path.parent for path in self._parts})

    def drop(self) -> None:
        """Leave no part behind."""
        for part in self._parts.values():
            if part is not None:
                part.unlink(missing_ok=True)

    def _sync_all(self, paths: Iterable[Path]) -> None:
        ordered = list(paths)
        under_way = [self._threads().submit(_sync, path) for path in ordered[1:]]
        try:
            for path in ordered[:1]:
                _sync(path)
        finally:
            faults = [future.exception() for future in under_way]
        for fault in faults:
            if fault is not None:
                raise fault


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
