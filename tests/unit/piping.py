"""A pipeline on a real database, with an engine, a store and decoders that can be told to fail."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import update
from uuid_utils.compat import uuid7

from captioner import jobs, queries, schema
from captioner.blobs import BlobStore
from captioner.clock import now
from captioner.database import Database
from captioner.errors import CaptionerError
from captioner.images import Resampling
from captioner.queries import JobRead
from captioner.settings import Settings
from captioner.work import Order, Picture
from models import Blob, JobImage
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
    def using(self, model: str, *, wanted: Callable[[], bool]) -> Iterator["House"]:
        if self.refusal is not None:
            raise self.refusal
        yield self

    def batch_s(self) -> float:
        return self.batcher.took_s

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
