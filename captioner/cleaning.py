"""What is kept no longer is removed: a bounded piece of it in each turn, on the database's clock.

Any number of cleaners may run at once: what one has removed, another does not find.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Select, delete, func, select, tuple_
from sqlalchemy.orm import Session

from captioner import jobs, pictures, results
from captioner.blobs import BlobStore
from captioner.cache import OFF, Cache
from captioner.clock import now_plus
from captioner.database import Database
from captioner.errors import StorageUnavailable
from captioner.jobs import Gone
from captioner.settings import Settings
from models import DeletedJob, IdempotencyKey, WebhookEndpoint

log = logging.getLogger(__name__)

ROWS = 1_000
"""Tombstones, or keys, that one turn removes."""
FOLDERS = 256
"""Of the picture store: the first two hex digits of a hash."""
FOLDERS_AT_ONCE = 32
RECOUNT_S = 3600.0


class Cleaner:
    """`turn` is called again and again. Each turn is short, however much there is to remove."""

    def __init__(
        self, settings: Settings, database: Database, blobs: BlobStore, cache: Cache = OFF
    ) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._cache = cache
        # Cleaners begin at different places, so that together they are round sooner.
        self._next_folder = random.randrange(FOLDERS)  # noqa: S311 - no secret
        self._looked_at = time.monotonic()
        self._recounted_at = time.monotonic() - RECOUNT_S
        self._after = f"{self._next_folder:02x}"
        self._log_emptied_after: datetime | None = None

    def turn(self) -> None:
        """Remove a piece of what is due. Raises `DatabaseUnavailable`."""
        self._jobs()
        self._pictures()
        self._remembered()
        self._remove(self._unused(), "Pictures that no job uses are removed.")
        self._sweep()
        self._empty_log()
        self._recount()

    def sweep(self) -> None:
        """Go through the whole picture store at once, and remove what no row knows."""
        for folder in range(FOLDERS):
            self._sweep_folder(folder)

    def _jobs(self) -> None:
        settings = self._settings
        if settings.keep_jobs_s:
            self._delete(lambda session: jobs.delete_old(session, kept_s=settings.keep_jobs_s))
        self._delete(
            lambda session: jobs.delete_unfetched(session, kept_s=settings.keep_unfetched_s)
        )

    def _delete(self, due: Callable[[Session], Gone]) -> None:
        with self._database.write() as session:
            gone = due(session)
        if gone.jobs:
            log.info("%d old jobs are deleted.", len(gone.jobs), extra={"action": "jobs_deleted"})
        self._remove(gone.pictures, "Pictures of deleted jobs are removed.")

    def _pictures(self) -> None:
        if not self._settings.keep_blobs_s:
            return
        with self._database.write() as session:
            dropped = jobs.drop_old_pictures(session, kept_s=self._settings.keep_blobs_s)
        self._remove(dropped, "Pictures of old jobs are removed.")

    def _remembered(self) -> None:
        with self._database.write() as session:
            session.execute(
                delete(DeletedJob).where(
                    DeletedJob.id.in_(
                        select(DeletedJob.id)
                        .where(DeletedJob.deleted_at < now_plus(-self._settings.keep_deleted_s))
                        .limit(ROWS)
                    )
                )
            )
            session.execute(
                delete(WebhookEndpoint).where(
                    tuple_(WebhookEndpoint.caller, WebhookEndpoint.url_sha256).in_(
                        self._old_endpoints()
                    )
                )
            )
            session.execute(
                delete(IdempotencyKey).where(
                    tuple_(IdempotencyKey.caller, IdempotencyKey.key).in_(self._old_keys())
                )
            )

    def _old_endpoints(self) -> Select[str, str]:
        # One that still wants nothing says so again, the next time that it is asked.
        return (
            select(WebhookEndpoint.caller, WebhookEndpoint.url_sha256)
            .where(WebhookEndpoint.disabled_at < now_plus(-self._settings.keep_deleted_s))
            .limit(ROWS)
        )

    def _old_keys(self) -> Select[str, str]:
        return (
            select(IdempotencyKey.caller, IdempotencyKey.key)
            .where(IdempotencyKey.created_at < now_plus(-self._settings.keep_keys_s))
            .limit(ROWS)
        )

    def _unused(self) -> list[str]:
        with self._database.read() as session:
            found, self._after = pictures.unused(session, after=self._after)
        return found

    def _remove(self, sha256s: Sequence[str], sentence: str) -> None:
        if sha256s:
            removed = pictures.remove(self._database, self._blobs, sha256s, cache=self._cache)
            log.info(
                sentence,
                extra={
                    "action": "pictures_removed",
                    "blobs": removed.blobs,
                    "bytes": removed.bytes,
                    "left": removed.left,
                },
            )

    def _sweep(self) -> None:
        """As many folders as it takes to be round once in `keep_orphans_s`."""
        folder_s = self._settings.keep_orphans_s / FOLDERS
        due = int((time.monotonic() - self._looked_at) / folder_s)
        if not due:
            return
        self._looked_at = time.monotonic()
        try:
            for _ in range(min(due, FOLDERS_AT_ONCE)):
                self._sweep_folder(self._next_folder)
                self._next_folder = (self._next_folder + 1) % FOLDERS
        except StorageUnavailable as error:
            log.warning("The store is not swept: %s", error.detail, extra={"action": "not_swept"})

    def _sweep_folder(self, folder: int) -> None:
        with self._database.read() as session:
            before = session.scalars(select(now_plus(-self._settings.keep_orphans_s))).one()
        old = self._blobs.old(f"{folder:02x}", before=before)
        with self._database.read() as session:
            orphans = pictures.unknown(session, old)
        self._remove(orphans, "Pictures that no row knows are removed.")

    def _recount(self) -> None:
        """Now and then: programs of another version may have counted nothing."""
        if time.monotonic() < self._recounted_at + RECOUNT_S:
            return
        self._recounted_at = time.monotonic()
        with self._database.write() as session:
            wrong = results.recount(session)
        if wrong:
            log.info("The counts of results are corrected.", extra={"action": "recounted"})

    def _empty_log(self) -> None:
        """SQLite's log has what was deleted until it is moved into the file and cut."""
        with self._database.read() as session:
            last: datetime | None = session.scalar(select(func.max(DeletedJob.deleted_at)))
        if last is not None and last != self._log_emptied_after and self._database.empty_log():
            self._log_emptied_after = last
