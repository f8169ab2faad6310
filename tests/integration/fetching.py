"""A worker's fetching of pictures, without the rest of a worker."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import update
from uuid_utils.compat import uuid7

from captioner import jobs, queries
from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.errors import StorageUnavailable
from captioner.work import Order, Parcel, Picture
from models import JobImage
from tests.integration.conftest import settings_of
from tests.integration.rows import model_of
from tests.picture_server import PictureServer
from tests.processes import until
from tests.stacks import Stack
from worker.fetching import Fetching
from worker.flow import Parts
from worker.leases import HeldClaims


class Outbox:
    """Keeps the messages that would be sent."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []

    def publish(self, parcels: Sequence[Parcel]) -> None:
        self.parcels += parcels


class Silence:
    def announce(self, job_ids: object) -> None:
        pass


class Store(BlobStore):
    """A store that may be away."""

    away = False

    def put(self, data: bytes) -> str:
        if self.away:
            raise StorageUnavailable("away")
        return super().put(data)


class Bench:
    def __init__(self, stack: Stack, database: Database, folder: Path, host: PictureServer) -> None:
        self.database, self.host = database, host
        self.held, self.draining, self.outbox = HeldClaims(), threading.Event(), Outbox()
        self.store = Store(f"file://{folder / 'blobs'}")
        settings = settings_of(
            stack, outbound_allow=(f"127.0.0.1:{host.port}",), url_timeout_s=3, fetch_concurrency=4
        )
        parts: dict[str, Any] = {
            "settings": settings,
            "database": database,
            "blobs": self.store,
            "decoders": None,
            "house": None,
            "herald": Silence(),
            "held": self.held,
            "draining": self.draining,
            "worker": "w",
        }
        publisher: Any = self.outbox
        self.fetching = Fetching(Parts(**parts), publisher, one_by_one=threading.Lock())

    def job(self, *urls: str, model: str | None = None, **order: Any) -> UUID:
        job_id = uuid7()
        pictures = [Picture(None, None, source_url=url) for url in urls]
        with self.database.write() as session:
            jobs.create(session, [(Order(job_id, model or model_of(job_id), **order), pictures)])
        return job_id

    def fetch(self, job_id: UUID) -> None:
        """Fetch what there is to fetch, and wait until nothing more is."""
        self.fetching.begin(model_of(job_id))
        until(lambda: not self.under_way(job_id), what="end of fetching", timeout_s=20)

    def under_way(self, job_id: UUID) -> bool:
        with self.database.read() as session:
            waits = jobs.any_to_fetch(session, model_of(job_id))
        running = any(image.state == "running" for image in self.images(job_id))
        return waits or running or bool(self.held.all())

    def images(self, job_id: UUID) -> Sequence[JobImage]:
        with self.database.read() as session:
            found = queries.job(session, job_id)
        assert found is not None
        return found.images

    def let_it_be_tried(self, job_id: UUID) -> None:
        with self.database.write() as session:
            session.execute(
                update(JobImage).where(JobImage.job_id == job_id).values(not_before=None)
            )
