"""New jobs are stored: many requests in one transaction, as many as come at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from captioner import gallery, jobs, pictures, tallies
from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.details import Details
from captioner.pictures import Kept
from captioner.tallies import Tally
from captioner.together import Together
from captioner.work import Order, Picture
from models import JobState


@dataclass(frozen=True)
class Entry:
    """A job to be, the pictures that were put into the store for it, and its look-ups."""

    order: Order
    kept: Sequence[Kept]
    listed: Sequence[Picture]
    tally: Tally
    details: Details | None = None
    """Of an image of the pipeline, which has thumbnails: what its file says of itself."""


class Storing:
    """Stores entries, each whole or not at all. Thread-safe."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs
        self._together: Together[Entry, JobState] = Together(
            self._store, name="storing", impatient=True
        )

    def store(self, entry: Entry) -> JobState:
        """The job's state once it is committed. Raises a `ServiceError` when it could not be."""
        return self._together(entry)

    def store_in(self, session: Session, entries: Sequence[Entry]) -> list[JobState]:
        """The jobs' states, once the session's transaction is committed."""
        pictures.keep(session, self._blobs, (kept for each in entries for kept in each.kept))
        entries = [self._with_thumbnails(each) for each in entries]
        states = jobs.create(session, [(each.order, each.listed) for each in entries])
        gallery.add(session, [(e.order, e.details) for e in entries if e.details is not None])
        tallies.add(session, *(entry.tally for entry in entries))
        return states

    def _with_thumbnails(self, entry: Entry) -> Entry:
        """The same; but a worker has to take it while its picture has no thumbnails, also where
        the caption is known. Asked while the picture's row is locked, so that they stay.
        """
        if entry.details is None or all(
            picture.known is None
            or picture.blob_sha256 is None
            or self._blobs.has_thumbnails(picture.blob_sha256)
            for picture in entry.listed
        ):
            return entry
        return replace(entry, listed=[replace(each, known=None) for each in entry.listed])

    def _store(self, entries: Sequence[Entry]) -> list[JobState]:
        with self._database.write() as session:
            return self.store_in(session, entries)
