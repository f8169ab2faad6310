"""The picture files, addressed by sha-256, in a folder or in any store that fsspec knows."""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from captioner.blob_files import SYNCS, Writing, read
from captioner.errors import PictureMissing, StorageUnavailable
from captioner.volumes import Volume

S3_OPTIONS: dict[str, Any] = {
    "config_kwargs": {
        "connect_timeout": 2,
        "read_timeout": 5,
        "retries": {"mode": "standard", "total_max_attempts": 2},
    },
    "max_concurrency": 1,  # a picture is one GET, without a HEAD before it
    "use_listings_cache": False,  # what was there a minute ago may have been removed since
    "skip_instance_cache": True,  # a store of its own, with the environment of its own time
}
"""For s3fs: a store that is away is an answer within seconds, as others try again later."""

FILE = re.compile(r"([0-9a-f]{64})(\.[a-z]+)?")
"""A picture, or a thumbnail of it."""
PART = re.compile(r"\.[0-9a-f]{64}(\.[a-z]+)?\.[0-9a-f]{32}\.part")
THUMBNAILS = ("small", "medium")
"""Small versions of a picture, which lie beside it and go with it."""
LOOKERS = 16
"""Questions to a store that is not a folder, at once."""


def digest(data: bytes) -> str:
    """The address of some bytes: their sha-256 in hex."""
    return hashlib.sha256(data).hexdigest()


class BlobStore:
    """Write-once bytes under their hash. A blob that exists is whole: it appears atomically.

    Opens no connection before the first call. Thread-safe.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        on_s3 = url.startswith(("s3://", "s3a://"))
        self._files, root = fsspec.url_to_fs(url, **(S3_OPTIONS if on_s3 else {}))
        if on_s3:
            self._files.retries = 1  # s3fs's own tries, which would multiply those of botocore
        self._root = str(root).rstrip("/")
        self._local = isinstance(self._files, LocalFileSystem)
        self._volume = Volume(self._root) if self._local else None
        self._pool: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()

    def put(self, data: bytes) -> str:
        """Store the bytes and return their sha-256. Storing them again changes nothing.

        Raises `StorageUnavailable`, and leaves no part behind.
        """
        with self.putting() as put:
            return put(data)

    @contextmanager
    def putting(self) -> Iterator[Callable[[bytes], str]]:
        """What stores bytes, one after another, and returns their sha-256, in the block.

        They are there when the block has ended, at about the cost of one; nothing is when it
        raises. Raises `StorageUnavailable`.
        """
        with self._writing() as add:

            def put(data: bytes) -> str:
                sha256 = digest(data)
                add(self._path(sha256), data)
                return sha256

            yield put

    @contextmanager
    def _writing(self) -> Iterator[Callable[[str, bytes], None]]:
        with self._volume.opened() if self._volume else nullcontext() as volume:
            writing = Writing(self._threads, volume)

            def add(path: str, data: bytes) -> None:
                with _stored():
                    if self._local:
                        writing.add(path, data)
                    elif not self._files.exists(path):
                        self._files.pipe_file(path, data)  # object stores show a whole one or none

            try:
                yield add
                with _stored():
                    writing.end()
            finally:
                writing.drop()

    def get(self, sha256: str) -> bytes:
        """The bytes of a blob.

        Raises `PictureMissing` if the store does not have it, `StorageUnavailable` if the store
        cannot be read, or is itself not there: a drive not mounted, a bucket of another name.
        """
        return self._get(sha256)

    def _get(self, sha256: str, thumbnail: str = "") -> bytes:
        try:
            path = self._path(sha256, thumbnail)
            data: bytes = read(path) if self._local else self._files.cat_file(path)
        except Exception as error:
            if isinstance(error, FileNotFoundError) and self._is_there(error):
                raise PictureMissing(f"Picture {sha256} is no longer stored.") from error
            detail = f"Picture {sha256} cannot be read ({_why(error)})."
            raise StorageUnavailable(detail) from error
        return data

    def remove(self, sha256: str) -> None:
        """Take a blob away, and its thumbnails before it; what is not there is no fault. Raises
        `StorageUnavailable`.

        Only `captioner.pictures` may: it knows that nobody needs it.
        """
        thumbnails = [self._path(sha256, name) for name in THUMBNAILS]
        if self._local:
            for path in thumbnails:
                self._remove(path)
        else:
            with ThreadPoolExecutor(len(thumbnails)) as threads:
                list(threads.map(self._remove, thumbnails))
        self._remove(self._path(sha256))

    def put_thumbnails(self, sha256: str, files: Mapping[str, bytes]) -> None:
        """Store small versions of a picture, by name. Those that are there stay as they are.

        Raises `StorageUnavailable`, and leaves no part behind.
        """
        with self._writing() as add:
            for name, data in files.items():
                add(self._path(sha256, name), data)

    def thumbnail(self, sha256: str, name: str) -> bytes:
        """The bytes of a small version of a picture. Raises as `get` does."""
        return self._get(sha256, name)

    def has_thumbnails(self, sha256: str) -> bool:
        """Whether all of a picture's are there. Raises `StorageUnavailable`."""
        return not self._lacking([self._path(sha256, name) for name in THUMBNAILS])

    def lacking(self, sha256s: Iterable[str]) -> list[str]:
        """Those of the blobs that are not there. Raises `StorageUnavailable`."""
        wanted = {self._path(sha256): sha256 for sha256 in sha256s}
        return [wanted[path] for path in self._lacking(list(wanted))]

    def _lacking(self, paths: Sequence[str]) -> list[str]:
        try:
            if self._local:
                there = [_opens(path) for path in paths]
            else:
                with ThreadPoolExecutor(LOOKERS) as threads:
                    there = list(threads.map(self._files.exists, paths))
        except Exception as error:
            raise StorageUnavailable(f"Pictures could not be found ({_why(error)}).") from error
        return [path for path, found in zip(paths, there, strict=True) if not found]

    def old(self, prefix: str, *, before: datetime) -> list[str]:
        """The blobs with these two first hex digits that were last written before then, or have
        a thumbnail that was, as the store dates them. Unfinished parts of that age are removed.
        Raises `StorageUnavailable`.
        """
        whole: set[str] = set()
        for path, written in self._listing(prefix):
            name = path.rpartition("/")[2]
            if written < before and PART.fullmatch(name):
                self._remove(path)
            elif written < before and name.startswith(prefix):
                whole.update(found[1] for found in [FILE.fullmatch(name)] if found)
        return sorted(whole)

    def _listing(self, prefix: str) -> list[tuple[str, datetime]]:
        try:
            found = self._files.ls(f"{self._root}/{prefix}", detail=True, refresh=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise StorageUnavailable(f"Pictures cannot be listed ({_why(error)}).") from error
        return [(file["name"], _written(file)) for file in found if file["type"] == "file"]

    def _remove(self, path: str) -> None:
        try:
            self._files.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:
            raise StorageUnavailable(f"A picture could not be removed ({_why(error)}).") from error

    def _threads(self) -> ThreadPoolExecutor:
        with self._starting:  # in the process that writes, not in the one it was forked from
            self._pool = self._pool or ThreadPoolExecutor(SYNCS, thread_name_prefix="blob-sync")
            return self._pool

    def _path(self, sha256: str, thumbnail: str = "") -> str:
        name = f"{sha256}.{thumbnail}" if thumbnail else sha256
        return f"{self._root}/{sha256[:2]}/{name}"

    def _is_there(self, error: FileNotFoundError) -> bool:
        if self._local:
            return Path(self._root).is_dir()
        answer: dict[str, Any] = getattr(error.__cause__, "response", {})  # botocore's, on S3
        return bool(answer.get("Error", {}).get("Code") != "NoSuchBucket")


def _written(file: dict[str, Any]) -> datetime:
    # Each kind of store has a name of its own for it; one that has none is never too old.
    written = file.get("mtime") or file.get("LastModified") or file.get("created")
    if isinstance(written, int | float):
        return datetime.fromtimestamp(written, UTC)
    return written if isinstance(written, datetime) else datetime.max.replace(tzinfo=UTC)


def _why(error: Exception) -> str:
    # Not the store's own words: they may quote a key or an address.
    number = error.errno if isinstance(error, OSError) else None
    return type(error).__name__ + (f": {os.strerror(number)}" if number else "")


def _opens(path: str) -> bool:
    # Not stat: of a folder that machines share, only opening a file asks whether it is there yet.
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _stored() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise StorageUnavailable(f"A picture could not be stored ({_why(error)}).") from error
