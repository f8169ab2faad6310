"""The picture files, addressed by sha-256, in a folder or in any store that fsspec knows."""

import hashlib
import os
from pathlib import Path
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from captioner.errors import StorageUnavailable


def digest(data: bytes) -> str:
    """The address of some bytes: their sha-256 in hex."""
    return hashlib.sha256(data).hexdigest()


class BlobStore:
    """Write-once bytes under their hash. A blob that exists is whole: it appears atomically."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, root = fsspec.url_to_fs(url)
        self._root = str(root).rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)

    def put(self, data: bytes) -> str:
        """Store the bytes and return their sha-256. Storing them again changes nothing.

        Raises `StorageUnavailable`, and leaves no part behind.
        """
        sha256 = digest(data)
        path = self._path(sha256)
        try:
            if self._local:
                _write_local(Path(path), data)
            elif not self._files.exists(path):
                self._files.pipe_file(path, data)  # object stores show a whole object or none
        except OSError as error:
            raise StorageUnavailable(f"A picture could not be stored: {_why(error)}.") from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes of a blob. Raises `StorageUnavailable` if it is not there or not readable."""
        try:
            data: bytes = self._files.cat_file(self._path(sha256))
        except OSError as error:
            raise StorageUnavailable(f"Picture {sha256} cannot be read: {_why(error)}.") from error
        return data

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _write_local(path: Path, data: bytes) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
