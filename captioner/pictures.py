"""Pictures come and go: the rows of `blobs`, and the files of the blob store, together.

A file may be needed by a request that is being stored in one process while another process finds
that nobody needs it. The row of its hash is the lock that both take, in order of hash:

    keep                                     remove
    file put into the store                  row written, if there is none; so it is locked
    ── transaction ──                        ── transaction ──
    row written or touched; so it is locked  row deleted, unless an image refers to it
    file looked for, put again if it went    file removed
    images refer to the row                  ── commit ──
    ── commit ──

Whoever comes second waits for the first. After `remove`, `keep` finds no file and puts it again.
After `keep`, `remove` finds that an image refers to the row: by its condition, or by the foreign
key, which sees what was committed since the statement began. If a process dies in between, there
is a file without a row, or a row without an image; `captioner.cleaning` finds both.

What is remembered of a picture goes with its file, as do its thumbnails. While the cache is away
the row stays, so that the cleaner tries again.

See docs/adr/0013 and docs/adr/0018.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from captioner.blobs import BlobStore
from captioner.cache import OFF, Cache
from captioner.clock import now
from captioner.database import Database
from captioner.errors import CaptionerError, StorageUnavailable
from captioner.images import ImageInfo
from models import Blob, JobImage

log = logging.getLogger(__name__)

ROWS = 1_000
"""Blobs in one look."""
REMOVALS = 20
"""Blobs that one transaction removes: requests with the same pictures wait for it."""


@dataclass(frozen=True)
class Kept:
    """A picture that was put into the store. `read` gives its bytes once more."""

    sha256: str
    info: ImageInfo
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Removed:
    """What became of pictures that were to go, unless somebody else needs them."""

    blobs: int = 0
    bytes: int = 0
    left: int = 0
    """Blobs that could not be removed now, as a part was away. The cleaner will try again."""
    captions: int = 0
    """Captions of those blobs that were remembered."""


def keep(session: Session, blobs: BlobStore, pictures: Iterable[Kept]) -> None:
    """Make sure that the pictures stay, in the transaction that makes images refer to them.

    Raises `StorageUnavailable` for a file that has gone and cannot be put again.
    """
    by_hash = {picture.sha256: picture for picture in pictures}
    if by_hash:
        session.connection().execute(
            _KEEP[session.get_bind().dialect.name],
            [_row(by_hash[each]) for each in sorted(by_hash)],
        )
    for sha256 in blobs.lacking(by_hash):
        if blobs.put(by_hash[sha256].read()) != sha256:
            raise StorageUnavailable(f"Picture {sha256} changed while it was stored.")


def remove(
    database: Database, blobs: BlobStore, sha256s: Iterable[str], *, cache: Cache = OFF
) -> Removed:
    """Remove those of the pictures that no image refers to: rows, files, and remembered captions.

    A file without a row goes too, uncounted. To be called after the commit that took the last
    reference away. Does not raise for a part that is away: see `Removed.left`.
    """
    count, size, left, captions = 0, 0, 0, 0
    for some in _batches(sorted(set(sha256s)), REMOVALS):
        try:
            with database.write() as session:
                gone = {sha256: _remove(session, blobs, sha256) for sha256 in some}
                forgotten = cache.forget(_let_go(gone)) if cache.on else 0
        except CaptionerError as error:
            log.warning("Pictures stay for now: %s", error.detail, extra={"action": "not_removed"})
            left += len(some)
        else:
            sizes = [found for found in gone.values() if found]
            count += len(sizes)
            size += sum(sizes)
            captions += forgotten
    return Removed(count, size, left, captions)


def needed(session: Session, sha256s: Collection[str]) -> set[str]:
    """Those of the pictures that an image refers to."""
    found = session.scalars(_NEEDED, {"sha256s": list(sha256s)})
    return {sha256 for sha256 in found if sha256}


def unused(session: Session, *, after: str) -> tuple[list[str], str]:
    """Of the next blobs after this hash, those that no image refers to; and where to go on.

    Where to go on is empty after the last.
    """
    last = session.scalar(
        select(Blob.sha256)
        .where(Blob.sha256 > after)
        .order_by(Blob.sha256)
        .offset(ROWS - 1)
        .limit(1)
    )
    used = select(JobImage.position).where(JobImage.blob_sha256 == Blob.sha256).exists()
    found = select(Blob.sha256).where(Blob.sha256 > after, ~used)
    if last is not None:
        found = found.where(Blob.sha256 <= last)
    return list(session.scalars(found)), last or ""


def unknown(session: Session, sha256s: Sequence[str]) -> list[str]:
    """Those of the hashes that have no row."""
    known: set[str] = set()
    for some in _batches(sha256s, ROWS):
        known.update(session.scalars(select(Blob.sha256).where(Blob.sha256.in_(some))))
    return [sha256 for sha256 in sha256s if sha256 not in known]


def _remove(session: Session, blobs: BlobStore, sha256: str) -> int | None:
    """Bytes of the blob, 0 if it had no row; `None` for one that is needed."""
    inserted = session.execute(
        _insert(session.get_bind().dialect)(Blob)
        .values(sha256=sha256, media_type="", bytes=1, width=1, height=1, created_at=now())
        .on_conflict_do_nothing()
        .returning(Blob.sha256)
    ).first()
    used = select(JobImage.position).where(JobImage.blob_sha256 == sha256).exists()
    gone = delete(Blob).where(Blob.sha256 == sha256, ~used).returning(Blob.bytes)
    try:
        with session.begin_nested():
            row = session.execute(gone.execution_options(synchronize_session=False)).first()
    except IntegrityError:
        return None
    if row is None:
        return None
    blobs.remove(sha256)
    return 0 if inserted else int(row.bytes)


def _let_go(gone: Mapping[str, int | None]) -> list[str]:
    return [sha256 for sha256, size in gone.items() if size is not None]


def _row(picture: Kept) -> dict[str, Any]:
    return {
        "sha256": picture.sha256,
        "media_type": picture.info.media_type,
        "bytes": picture.info.bytes,
        "width": picture.info.width,
        "height": picture.info.height,
    }


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _insert(dialect: Dialect) -> Callable[[type[Blob]], postgresql.Insert | sqlite.Insert]:
    return postgresql.insert if dialect.name == "postgresql" else sqlite.insert


def _keeping(insert: Callable[[type[Blob]], Any]) -> Any:
    """Writes a row, or touches the one that is there: both lock it."""
    row = insert(Blob)
    names = ("sha256", "media_type", "bytes", "width", "height")
    return row.values(
        created_at=now(), **{name: bindparam(name) for name in names}
    ).on_conflict_do_update(index_elements=["sha256"], set_={"media_type": row.excluded.media_type})


_NEEDED = (
    select(JobImage.blob_sha256)
    .where(JobImage.blob_sha256.in_(bindparam("sha256s", expanding=True)))
    .distinct()
)
_KEEP = {"postgresql": _keeping(postgresql.insert), "sqlite": _keeping(sqlite.insert)}
"""Made once: to make it costs more than to run it."""
