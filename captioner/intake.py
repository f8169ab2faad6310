"""The one submit story: look, store, commit, then publish.

When this returns, the pictures are on disk and the rows are committed. Whether a message could be
sent is no condition: the reconciler sends what was not.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner import catalog, dispatch, images, jobs
from captioner.blobs import BlobStore
from captioner.broker import Publisher
from captioner.clock import now
from captioner.database import Database
from captioner.errors import (
    AllImagesRefused,
    CaptionerError,
    ImageError,
    InvalidPrompt,
    NoImages,
    TooManyImages,
)
from captioner.settings import Settings
from captioner.work import Picture
from models import Blob


@dataclass(frozen=True)
class Upload:
    """One picture as it arrived. `read` gives its bytes, or raises the `ImageError` it deserves.

    Reading is left to intake, so that one picture is in memory at a time.
    """

    read: Callable[[], bytes]
    file_name: str | None = None


@dataclass(frozen=True)
class Submission:
    """What one request asks for."""

    uploads: Sequence[Upload]
    model: str | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class Stored:
    """A picture that went into the blob store."""

    sha256: str
    info: images.ImageInfo


class Intake:
    """Accepts submissions. Thread-safe."""

    def __init__(
        self, settings: Settings, database: Database, blobs: BlobStore, publisher: Publisher
    ) -> None:
        self._settings = settings
        self._limits = images.ImageLimits.from_settings(settings)
        self._database = database
        self._blobs = blobs
        self._publisher = publisher

    def submit(self, submission: Submission) -> UUID:
        """Make a durable job of a submission and return its id.

        A picture that cannot be captioned fails alone, at its place. Raises a `RequestError` when
        the submission as a whole is wrong (`AllImagesRefused` names each picture), and a
        `ServiceError` when it could not be stored; then nothing was accepted.
        """
        model = catalog.find(submission.model or self._settings.model, self._settings).name
        prompt = self._prompt(submission.prompt)
        self._check_count(len(submission.uploads))
        taken = [(upload, self._take(upload)) for upload in submission.uploads]
        _refuse_if_none_left(taken)
        job_id: UUID = uuid7()
        stored = {item.sha256: item for _, item in taken if isinstance(item, Stored)}
        pictures = [_picture(upload, item) for upload, item in taken]
        with self._database.write() as session:
            _remember_blobs(session, stored.values())
            jobs.create(session, job_id=job_id, model=model, prompt=prompt, pictures=pictures)
        queued = [n for n, picture in enumerate(pictures) if picture.refusal is None]
        size = self._settings.message_images
        self._publisher.publish(dispatch.parcels_of(job_id, model, queued, size))
        return job_id

    def _check_count(self, count: int) -> None:
        if count == 0:
            raise NoImages("Send at least one picture.")
        if count > self._settings.max_images:
            raise TooManyImages(
                f"The request has {count} pictures; one request may have at most "
                f"{self._settings.max_images}. Send the rest in another.",
                limit=self._settings.max_images,
            )

    def _prompt(self, prompt: str | None) -> str | None:
        prompt = (prompt or "").strip()
        if len(prompt) > self._settings.max_prompt_chars:
            raise InvalidPrompt(
                f"The prompt has {len(prompt)} characters; "
                f"at most {self._settings.max_prompt_chars} are allowed."
            )
        if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in prompt):
            raise InvalidPrompt("The prompt holds control characters. Send plain text.")
        return prompt or None

    def _take(self, upload: Upload) -> Stored | ImageError:
        try:
            data = upload.read()
            info = images.inspect(data, self._limits)
        except ImageError as error:
            return error
        return Stored(self._blobs.put(data), info)


def _picture(upload: Upload, item: Stored | ImageError) -> Picture:
    if isinstance(item, Stored):
        return Picture(upload.file_name, item.sha256)
    return Picture(upload.file_name, None, item)


def _refuse_if_none_left(taken: Sequence[tuple[Upload, Stored | ImageError]]) -> None:
    refusals = [item for _, item in taken if isinstance(item, ImageError)]
    if len(refusals) < len(taken):
        return
    errors = [
        {"index": n, "file_name": upload.file_name, "code": item.code, "detail": item.detail}
        for n, (upload, item) in enumerate(taken)
        if isinstance(item, CaptionerError)
    ]
    if len({item.code for item in refusals}) == 1:
        refusals[0].extra["errors"] = errors
        raise refusals[0]
    raise AllImagesRefused(
        f"None of the {len(taken)} pictures can be captioned; 'errors' says why for each.",
        errors=errors,
    )


def _remember_blobs(session: Session, stored: Iterable[Stored]) -> None:
    # In order of hash, so that two requests with the same pictures cannot block each other.
    rows = [
        {
            "sha256": item.sha256,
            "media_type": item.info.media_type,
            "bytes": item.info.bytes,
            "width": item.info.width,
            "height": item.info.height,
            "created_at": now(),
        }
        for item in sorted(stored, key=lambda item: item.sha256)
    ]
    insert = _insert(session.get_bind().dialect)
    session.execute(insert(Blob).values(rows).on_conflict_do_nothing())


def _insert(dialect: Dialect) -> Callable[[type[Blob]], postgresql.Insert | sqlite.Insert]:
    return postgresql.insert if dialect.name == "postgresql" else sqlite.insert
