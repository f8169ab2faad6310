"""The pipeline against a real database: what waits, what fails, what goes back."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import update
from uuid_utils.compat import uuid7

from captioner import jobs, queries, schema
from captioner.blobs import BlobStore
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.errors import CaptionerError, ModelUnavailable, ShuttingDown, StorageUnavailable
from captioner.images import Resampling
from captioner.queries import JobRead
from captioner.settings import Settings
from captioner.work import Order, Picture
from models import Blob, JobImage
from tests.pictures import plain
from worker.batching import Batcher
from worker.decode_pool import DecodePool
from worker.engines.protocol import Caption
from worker.flow import Parts
from worker.leases import HeldClaims
from worker.pipeline import Pipeline
from worker.sharing import Sharing


class Engine:
    """Says the size of what it was given."""

    image_size = (8, 8)
    resampling = Resampling.BICUBIC
    revision = "r1"


class House:
    """A house with that one engine; or one that refuses, when told why."""

    def __init__(self) -> None:
        self.refusal: CaptionerError | None = None
        self.engine = Engine()
        self.batches: list[int] = []
        self.batcher: Batcher = Batcher(self._run, max_batch=8)
        self.version = "v1"
        self.chats = False

    @contextmanager
    def using(self, model: str) -> Iterator["House"]:
        if self.refusal is not None:
            raise self.refusal
        yield self

    def _run(self, group: object, pictures: list) -> list[Caption]:
        self.batches.append(len(pictures))
        return [Caption("a caption", (1,)) for _ in pictures]


class Store:
    """A blob store that can be away."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self.error: CaptionerError | None = None

    def get(self, sha256: str) -> bytes:
        if self.error is not None:
            raise self.error
        return self._blobs.get(sha256)


class Herald:
    """Notes what is announced."""

    def __init__(self) -> None:
        self.ended: list[UUID] = []

    def announce(self, job_ids: list[UUID]) -> None:
        self.ended += job_ids


class Bench:
    """A pipeline with its parts at hand."""

    def __init__(
        self, folder: Path, decoders: DecodePool, *, sharing: Sharing | None = None
    ) -> None:
        self.sharing = sharing or Sharing()
        self.settings = Settings(data_dir=folder, max_attempts=3, retry_s=60)
        schema.upgrade(self.settings)
        self.database = Database(self.settings.database)
        self.blobs = BlobStore(self.settings.blobs)
        self.store, self.house, self.herald = Store(self.blobs), House(), Herald()
        self.draining, self.held = threading.Event(), HeldClaims()
        self.pipeline = Pipeline(
            Parts(
                settings=self.settings,
                database=self.database,
                blobs=self.store,
                decoders=decoders,
                house=self.house,
                herald=self.herald,
                held=self.held,
                draining=self.draining,
                worker="w",
                sharing=self.sharing,
            )
        )

    def job(self, *pictures: bytes) -> UUID:
        job_id = uuid7()
        with self.database.write() as session:
            hashes = [self.blobs.put(data) for data in pictures]
            for sha in set(hashes):
                if session.get(Blob, sha) is None:
                    session.add(
                        Blob(sha256=sha, media_type="image/png", bytes=9, width=8, height=8,
                             created_at=now())
                    )  # fmt: skip
            pictures = [Picture(None, sha) for sha in hashes]
            jobs.create(session, [(Order(job_id, "scenes"), pictures)])
        return job_id

    def run(self, job_id: UUID, *positions: int, again: bool = False) -> None:
        if again:
            self.pipeline.run_again(job_id, positions, model="scenes")
        else:
            self.pipeline.run("scenes", limit=len(positions))

    def read(self, job_id: UUID) -> JobRead:
        with self.database.read() as session:
            found = queries.job(session, job_id)
        assert found is not None
        return found

    def states(self, job_id: UUID) -> list[str]:
        return [image.state for image in self.read(job_id).images]

    def let_it_be_tried(self, job_id: UUID, **changes: object) -> None:
        with self.database.write() as session:
            session.execute(
                update(JobImage).where(JobImage.job_id == job_id).values(not_before=None, **changes)
            )


@pytest.fixture
def bench(tmp_path: Path, decoders: DecodePool) -> Iterator[Bench]:
    made = Bench(tmp_path, decoders)
    yield made
    made.house.batcher.close()
    made.database.close()


def test_every_picture_gets_its_caption_and_the_end_is_announced(bench: Bench) -> None:
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    bench.run(job_id, 0, 1, 2)
    read = bench.read(job_id)
    assert [image.caption for image in read.images] == ["a caption"] * 3
    assert {image.model_revision for image in read.images} == {"r1"}
    assert set(bench.herald.ended) == {job_id}
    assert bench.held.all() == []


def test_a_second_delivery_does_nothing(bench: Bench) -> None:
    job_id = bench.job(plain())
    bench.run(job_id, 0)
    bench.run(job_id, 0)
    assert sum(bench.house.batches) == 1


def test_a_store_that_is_away_uses_up_no_attempt(bench: Bench) -> None:
    job_id = bench.job(plain())
    bench.store.error = StorageUnavailable("away")
    for _ in range(10):
        bench.run(job_id, 0)
        assert bench.states(job_id) == ["queued"]
        bench.let_it_be_tried(job_id)
    bench.store.error = None
    bench.run(job_id, 0)
    image = bench.read(job_id).images[0]
    assert (image.state, image.lost) == ("succeeded", 0)


def test_a_store_that_stays_away_fails_the_picture_in_the_end(bench: Bench) -> None:
    job_id = bench.job(plain())
    with bench.database.write() as session:
        session.execute(update(JobImage).values(waiting_since=now_plus(-120)))
    bench.store.error = StorageUnavailable("away")
    bench.run(job_id, 0)
    assert bench.read(job_id).images[0].error_code == "storage_unavailable"


def test_a_picture_that_is_gone_fails_at_once(bench: Bench) -> None:
    job_id = bench.job(plain(), plain("blue"))
    lost = bench.read(job_id).images[0].blob_sha256
    assert lost
    (bench.settings.data_dir / "blobs" / lost[:2] / lost).unlink()
    bench.run(job_id, 0, 1)
    assert [image.error_code for image in bench.read(job_id).images] == ["picture_missing", None]


def test_a_model_that_cannot_be_loaded_fails_every_picture(bench: Bench) -> None:
    job_id = bench.job(plain(), plain("blue"))
    bench.house.refusal = ModelUnavailable("no such folder")
    bench.run(job_id, 0, 1)
    assert {image.error_code for image in bench.read(job_id).images} == {"model_unavailable"}
    assert set(bench.herald.ended) == {job_id}


@pytest.mark.parametrize("why", ["house", "batcher"])
def test_what_a_draining_worker_has_not_begun_goes_back(bench: Bench, why: str) -> None:
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    match why:
        case "house":
            bench.house.refusal = ShuttingDown("draining")
        case "batcher":
            bench.house.batcher.close()
    bench.run(job_id, 0, 1, 2)
    read = bench.read(job_id)
    assert {(image.state, image.lost) for image in read.images} == {("queued", 0)}
    assert all(image.published_at is None for image in read.images)
    assert bench.held.all() == []


def test_a_draining_worker_takes_nothing(bench: Bench) -> None:
    job_id = bench.job(plain())
    bench.draining.set()
    with pytest.raises(ShuttingDown):
        bench.run(job_id, 0)
    image = bench.read(job_id).images[0]
    assert (image.state, image.attempt) == ("queued", 0)


def lines_about(job_id: UUID, caplog: pytest.LogCaptureFixture) -> set[str]:
    """What happened, by the lines that name this job."""
    named = [line for line in caplog.records if vars(line).get("job_id") == str(job_id)]
    return {str(vars(line)["action"]) for line in named}


def test_a_damaged_picture_fails_alone(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    whole = plain(width=200, height=200)
    job_id = bench.job(plain("blue"), whole[: len(whole) // 2])
    bench.run(job_id, 0, 1)
    codes = [image.error_code for image in bench.read(job_id).images]
    assert codes[0] is None
    assert codes[1] in ("image_truncated", "image_undecodable")
    assert lines_about(job_id, caplog) == {"image_bad"}


def test_an_engine_that_raises_is_told_with_the_job(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def raises(group: object, pictures: list) -> list[Caption]:
        raise ValueError("no such layer")

    bench.house.batcher = Batcher(raises, max_batch=8)
    job_id = bench.job(plain())
    bench.run(job_id, 0)
    assert bench.read(job_id).images[0].error_code == "caption_failed"
    assert lines_about(job_id, caplog) == {"caption_failed"}


def test_pictures_that_lost_an_attempt_are_worked_on_one_at_a_time(bench: Bench) -> None:
    job_id = bench.job(*(plain(colour) for colour in ("red", "green", "blue")))
    bench.let_it_be_tried(job_id, lost=1)
    most = 0
    looked = threading.Event()

    def look() -> None:
        nonlocal most
        while not looked.is_set():
            most = max(most, len(bench.held.all()))

    watcher = threading.Thread(target=look)
    watcher.start()
    threads = [
        threading.Thread(target=bench.run, args=(job_id, n), kwargs={"again": True})
        for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    looked.set()
    watcher.join()
    assert bench.states(job_id) == ["succeeded"] * 3
    assert bench.house.batches == [1, 1, 1]
    assert most == 1


def test_a_decoder_that_fails_is_not_the_pictures_fault(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def submit(self, data: bytes, **_: object) -> Future:
            future: Future = Future()
            future.set_exception(OSError("no memory for pixels"))
            return future

    make: Callable[..., Parts] = Parts
    parts = make(**{**vars(bench.pipeline._parts), "decoders": Broken()})
    job_id = bench.job(plain())
    Pipeline(parts).run("scenes", limit=1)
    image = bench.read(job_id).images[0]
    assert (image.state, image.lost, image.error_code) == ("queued", 0, None)
    assert lines_about(job_id, caplog) == {"decode_failed"}
