"""A job goes: its rows, and the pictures that no other job uses, with what is known of them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from captioner import jobs, pictures, queries
from captioner.blobs import BlobStore
from captioner.cache import OFF, Cache
from captioner.database import Database
from captioner.errors import CaptionerError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deletion:
    """What was removed, and when."""

    job_id: UUID
    deleted_at: datetime
    images: int
    pictures: pictures.Removed


class Retention:
    """Deletes jobs, now or once they were delivered. Thread-safe."""

    def __init__(self, database: Database, blobs: BlobStore, cache: Cache = OFF) -> None:
        self._database = database
        self._blobs = blobs
        self._cache = cache

    def delete(self, job_id: UUID, *, owner: str | None = None) -> Deletion:
        """Delete a job, whatever its state. Raises `JobNotFound`, `JobDeleted`.

        With an `owner`, the jobs of others are not found.

        When the picture store is away, the job is deleted all the same, and its pictures later; so
        are captions that are remembered, when the cache is away.
        """
        with self._database.write() as session:
            queries.refuse_others(session, job_id, owner=owner)
            gone = jobs.delete_job(session, job_id)
        removed = self._remove(gone.pictures)
        return Deletion(job_id, gone.deleted_at, gone.images, removed)

    def delivered(self, job_id: UUID) -> None:
        """Say that a job's result has reached the one who asked.

        Deletes a final job that was sent with `store: false`; does nothing to any other, so it may
        be called for each, and more than once. Never raises: what cannot be deleted now goes after
        `keep_unfetched_s`.
        """
        try:
            with self._database.write() as session:
                gone = jobs.delete_delivered(session, job_id)
            self._remove(gone.pictures)
        except CaptionerError as error:
            log.warning(
                "A delivered job stays for now: %s",
                error.detail,
                extra={"action": "not_deleted", "job_id": str(job_id)},
            )

    def _remove(self, sha256s: Iterable[str]) -> pictures.Removed:
        return pictures.remove(self._database, self._blobs, sha256s, cache=self._cache)
