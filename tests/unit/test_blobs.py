"""The picture store: write-once, whole or absent, and clear about what is wrong; on disk and S3."""

import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import fsspec
import httpx
import pytest
from moto.server import ThreadedMotoServer

from captioner.blobs import BlobStore, digest
from captioner.errors import PictureMissing, StorageUnavailable
from tests.processes import ROOT

BUCKET = "pictures"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def on_disk(folder: Path) -> BlobStore:
    return BlobStore(f"file://{folder}")


def test_what_was_put_is_got_back_under_its_hash(tmp_path: Path) -> None:
    store = on_disk(tmp_path / "blobs")
    sha256 = store.put(b"picture")
    assert sha256 == digest(b"picture")
    assert store.get(sha256) == b"picture"
    assert on_disk(tmp_path / "blobs").get(sha256) == b"picture"


def test_the_same_bytes_are_stored_once_and_never_written_again(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    sha256 = store.put(b"picture")
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    before = file.stat()
    assert store.put(b"picture") == sha256
    assert files_in(tmp_path) == [sha256]
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_reader_sees_a_whole_blob_or_none_while_many_write_it(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    store.put(b"the folder is there")
    for _ in range(5):
        data = random.randbytes(8 * 2**20)
        written = threading.Event()

        def read(sha256: str, written: threading.Event) -> set[str]:
            seen = set()
            while True:
                last = written.is_set()
                try:
                    seen.add(digest(store.get(sha256)))
                except PictureMissing:
                    seen.add("missing")
                if last:
                    return seen

        with ThreadPoolExecutor(12) as threads:
            readers = [threads.submit(read, digest(data), written) for _ in range(6)]
            writers = [threads.submit(store.put, data) for _ in range(6)]
            try:
                assert {writer.result() for writer in writers} == {digest(data)}
            finally:
                written.set()
            for reader in readers:
                assert digest(data) in reader.result()
                assert reader.result() <= {digest(data), "missing"}
    assert len(files_in(tmp_path)) == 6  # no part is left of those that lost the race


def test_many_different_blobs_are_stored_at_once(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    pictures = [b"picture %d" % n for n in range(300)]
    with ThreadPoolExecutor(16) as threads:
        names = list(threads.map(store.put, pictures))
    assert [store.get(name) for name in names] == pictures


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    # In a process whose files may not grow beyond 64 KiB, as on a disk that is full.
    script = """
import resource, sys
from captioner.blobs import BlobStore
from captioner.errors import StorageUnavailable
store = BlobStore(sys.argv[1])
store.put(b"small")
resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
try:
    store.put(bytes(1_000_000))
except StorageUnavailable as error:
    print(error.detail)
"""
    command = [sys.executable, "-c", script, f"file://{tmp_path}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "A picture could not be stored (OSError: File too large).\n"
    assert files_in(tmp_path) == [digest(b"small")]


def test_a_folder_that_is_a_file_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = on_disk(tmp_path / "file" / "blobs")
    with pytest.raises(StorageUnavailable, match="NotADirectoryError"):
        store.put(b"picture")
    with pytest.raises(StorageUnavailable, match="NotADirectoryError"):
        store.get(digest(b"picture"))


def test_a_blob_that_is_gone_is_missing(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    gone, kept = store.put(b"gone"), store.put(b"kept")
    (tmp_path / gone[:2] / gone).unlink()
    with pytest.raises(PictureMissing, match=gone):
        store.get(gone)
    assert store.get(kept) == b"kept"


def test_a_folder_that_is_not_mounted_is_away_and_its_blobs_are_not_missing(tmp_path: Path) -> None:
    store = on_disk(tmp_path / "blobs")
    sha256 = store.put(b"picture")
    (tmp_path / "blobs").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        store.get(sha256)
    (tmp_path / "elsewhere").rename(tmp_path / "blobs")
    assert store.get(sha256) == b"picture"


def test_a_blob_that_cannot_be_read_is_not_missing(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    sha256 = digest(b"picture")
    (tmp_path / sha256[:2] / sha256).mkdir(parents=True)
    with pytest.raises(StorageUnavailable, match="IsADirectoryError"):
        store.get(sha256)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment with S3 keys that are for show, and nothing else of the machine's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    return monkeypatch


@pytest.fixture
def endpoint(keys: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks S3, with one empty bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    httpx.put(f"{url}/{BUCKET}").raise_for_status()
    keys.setenv("AWS_ENDPOINT_URL", url)
    yield url
    httpx.post(f"{url}/moto-api/reset").raise_for_status()  # its buckets are its process's
    server.stop()


def objects(endpoint: str) -> dict[str, str]:
    """The keys in the bucket, and when each was written."""
    listed = ElementTree.fromstring(httpx.get(f"{endpoint}/{BUCKET}?list-type=2").content)
    entries = [entry for entry in listed if entry.tag.endswith("Contents")]
    return {str(e.findtext("{*}Key")): str(e.findtext("{*}LastModified")) for e in entries}


def test_s3_pictures_are_put_and_got_under_the_prefix(endpoint: str) -> None:
    store = BlobStore(f"s3://{BUCKET}/some/prefix")
    sha256 = store.put(b"picture")
    assert store.get(sha256) == b"picture"
    assert list(objects(endpoint)) == [f"some/prefix/{sha256[:2]}/{sha256}"]
    large = random.randbytes(20 * 2**20)
    assert BlobStore(f"s3://{BUCKET}/some/prefix").get(store.put(large)) == large


def test_s3_the_same_bytes_are_stored_once(endpoint: str) -> None:
    store = BlobStore(f"s3://{BUCKET}")
    store.put(b"picture")
    before = objects(endpoint)
    time.sleep(1.1)  # the times there are whole seconds
    store.put(b"picture")
    assert objects(endpoint) == before
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(store.put, [b"another"] * 32))) == 1
    assert len(objects(endpoint)) == 2


def test_s3_a_blob_that_is_gone_is_missing(endpoint: str) -> None:
    store = BlobStore(f"s3://{BUCKET}/prefix")
    with pytest.raises(PictureMissing):
        store.get(digest(b"never stored"))
    sha256 = store.put(b"picture")
    assert store.get(sha256) == b"picture"
    fsspec.filesystem("s3", skip_instance_cache=True).rm(f"{BUCKET}/prefix/{sha256[:2]}/{sha256}")
    with pytest.raises(PictureMissing, match=sha256):
        store.get(sha256)
    store.put(b"picture")  # nothing remembers that it was there once
    assert store.get(sha256) == b"picture"


def test_s3_a_bucket_that_is_not_there_is_a_store_that_is_away(endpoint: str) -> None:
    store = BlobStore("s3://misspelt/prefix")
    with pytest.raises(StorageUnavailable):
        store.put(b"picture")
    with pytest.raises(StorageUnavailable):
        store.get(digest(b"picture"))


def test_s3_building_a_store_opens_no_connection(keys: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        BlobStore(f"s3://{BUCKET}/prefix")
        assert select.select([listener], [], [], 0.2)[0] == []


def test_s3_a_dead_endpoint_is_told_within_seconds(keys: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))  # ours, but nobody listens
        keys.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bound.getsockname()[1]}")
        store = BlobStore(f"s3://{BUCKET}/prefix")
        start = time.monotonic()
        with pytest.raises(StorageUnavailable, match=r"\(EndpointConnectionError\)"):
            store.put(b"picture")
        with pytest.raises(StorageUnavailable, match=r"\(EndpointConnectionError\)"):
            store.get(digest(b"picture"))
        assert time.monotonic() - start < 10


def test_s3_without_keys_the_store_is_away_and_says_why(
    endpoint: str, keys: pytest.MonkeyPatch
) -> None:
    keys.delenv("AWS_ACCESS_KEY_ID")
    keys.delenv("AWS_SECRET_ACCESS_KEY")
    store = BlobStore(f"s3://{BUCKET}")
    with pytest.raises(StorageUnavailable, match="NoCredentialsError"):
        store.put(b"picture")


def a_blob_goes_and_may_come_again(store: BlobStore) -> None:
    gone, kept = store.put(b"gone"), store.put(b"kept")
    later = datetime.now(UTC) + timedelta(hours=1)
    assert store.old(gone[:2], before=later) == [gone]
    assert store.old(gone[:2], before=later - timedelta(hours=2)) == []
    store.remove(gone)
    store.remove(gone)
    assert store.lacking([gone, kept]) == [gone]
    assert store.old(gone[:2], before=later) == []
    with pytest.raises(PictureMissing):
        store.get(gone)
    assert store.put(b"gone") == gone
    assert store.lacking([gone, kept]) == []
    assert store.get(gone) == b"gone"


def test_a_blob_that_was_removed_may_come_again(tmp_path: Path) -> None:
    a_blob_goes_and_may_come_again(on_disk(tmp_path / "not" / "there" / "yet"))


def test_s3_a_blob_that_was_removed_may_come_again(endpoint: str) -> None:
    a_blob_goes_and_may_come_again(BlobStore(f"s3://{BUCKET}/prefix"))
