"""The one submit story: room, look, store, recall, commit, then publish.

When this returns, the pictures are on disk and the rows are committed. Whether a message could be
sent is no condition: the reconciler sends what was not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner import catalog, dispatch, idempotency, images
from captioner.blobs import BlobStore, digest
from captioner.cache import OFF, Cache
from captioner.database import Database
from captioner.errors import (
    ImageError,
    InvalidPrompt,
    NoImages,
    TooManyImages,
)
from captioner.options import PLAIN, Options
from captioner.options import check as check_options
from captioner.outbound.rules import Rules
from captioner.outbound.urls import check
from captioner.outlook import Lookout, Outlook, Request
from captioner.pictures import Kept
from captioner.publishing import Publisher
from captioner.recalling import recalled
from captioner.settings import Settings
from captioner.storing import Entry, Storing
from captioner.taken import Link, Taken, Upload, collected, refuse_if_none_left
from captioner.tallies import Tally
from captioner.webhooks import signing
from captioner.work import Hook, Order, Picture
from models import IdempotencyKey, JobState, Priority

NOT_CONTENT = ("uploads", "caller", "idempotency_key", "options", "anew")
"""Fields of a submission that do not count as they are, when two are compared."""


@dataclass(frozen=True)
class Submission:
    """What one request asks for."""

    uploads: Sequence[Upload | Link]
    model: str | None = None
    options: Options = PLAIN
    priority: Priority = Priority.NORMAL
    stored: bool = True
    caller: str = ""
    cancel_after_s: float | None = None
    idempotency_key: str | None = None
    webhook: Hook | None = None
    anew: bool = False
    """Whether every caption is to be made now, though one may have been made before."""


@dataclass(frozen=True)
class Receipt:
    """The job of a submission."""

    job_id: UUID
    replayed: bool = False
    """Whether it was there already, from an earlier request with the same key."""
    state: JobState = JobState.QUEUED
    """Of a job that is new. It is final already where every caption was known."""


class Intake:
    """Accepts submissions. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: BlobStore,
        publisher: Publisher,
        cache: Cache = OFF,
    ) -> None:
        self._settings = settings
        self._limits = images.ImageLimits.from_settings(settings)
        self._rules = Rules(settings.outbound_allow)
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._cache = cache
        self._lookout = Lookout(settings, database)
        self._storing = Storing(database, blobs)

    def submit(self, submission: Submission) -> Receipt:
        """Make a durable job of a submission, or find the one that its idempotency key stands for.

        A picture that cannot be captioned fails alone, at its place. Raises a `RequestError` when
        the submission as a whole is wrong (`AllImagesRefused` names each picture), `QueueFull`
        before any picture is read, and a `ServiceError` when it could not be stored; then nothing
        was accepted.
        """
        entry = catalog.find(submission.model or self._settings.model, self._settings)
        model = entry.name
        options = self._options(submission)
        check_options(options, entry.limits, model=model)
        self._check_count(len(submission.uploads))
        if submission.webhook is not None:
            signing.configured(self._settings)
            check(submission.webhook.url, self._rules)
        earlier = self._earlier(submission)
        if earlier is not None:
            return self._replay(submission, earlier)
        outlook = self._lookout.admit(
            Request(submission.caller, model, len(submission.uploads), submission.priority)
        )
        return self._accept(submission, model, options, outlook)

    def _accept(
        self, submission: Submission, model: str, options: Options, outlook: Outlook
    ) -> Receipt:
        with self._blobs.putting() as put:
            taken = self._taken(submission, put)
            refuse_if_none_left(taken)
        listed, tally = [_picture(upload, item) for upload, item in taken], Tally()
        if not submission.anew:
            listed, tally = recalled(
                self._cache, listed, model=model, version=outlook.version, options=options
            )
        order = Order(
            uuid7(),
            model,
            options,
            caller=submission.caller,
            priority=submission.priority,
            cancel_after_s=submission.cancel_after_s,
            stored=submission.stored,
            expected_s=outlook.expected_of(listed),
            pace_s=1.0 if outlook.pace_s is None else outlook.pace_s,
            webhook=submission.webhook,
        )
        kept = [item for _, item in taken if isinstance(item, Kept)]
        receipt = self._store(submission, Entry(order, kept, listed, tally))
        if not receipt.replayed:
            queued = [n for n, each in enumerate(listed) if not (each.refusal or each.known)]
            self._publisher.publish(
                dispatch.parcels_of(order.job_id, model, queued, self._settings.message_images),
                hurried=not outlook.busy,
            )
        return receipt

    def _earlier(self, submission: Submission) -> IdempotencyKey | None:
        key, keep_s = submission.idempotency_key, self._settings.keep_keys_s
        if key is None:
            return None
        with self._database.read() as session:
            return idempotency.earlier(session, caller=submission.caller, key=key, keep_s=keep_s)

    def _replay(self, submission: Submission, earlier: IdempotencyKey) -> Receipt:
        """The job of an earlier request, if this is the same. Nothing is stored."""
        listed = [_picture(*each) for each in self._taken(submission, digest)]
        return Receipt(idempotency.same(earlier, _fingerprint(submission, listed)), replayed=True)

    def _store(self, submission: Submission, entry: Entry) -> Receipt:
        if submission.idempotency_key is None:
            return Receipt(entry.order.job_id, state=self._storing.store(entry))
        with self._database.write() as session:  # alone: others with its key wait for its end
            first = self._take_key(session, submission, entry.order.job_id, entry.listed)
            if first is not None:
                return Receipt(first, replayed=True)
            return Receipt(entry.order.job_id, state=self._storing.store_in(session, [entry])[0])

    def _take_key(
        self, session: Session, submission: Submission, job_id: UUID, listed: Sequence[Picture]
    ) -> UUID | None:
        """The job that has the key already, if another request came first."""
        if submission.idempotency_key is None:
            return None
        return idempotency.take(
            session,
            caller=submission.caller,
            key=submission.idempotency_key,
            fingerprint=_fingerprint(submission, listed),
            job_id=job_id,
            keep_s=self._settings.keep_keys_s,
        )

    def _check_count(self, count: int) -> None:
        if count == 0:
            raise NoImages("Send at least one picture.")
        if count > self._settings.max_images:
            raise TooManyImages(
                f"The request has {count} pictures; one request may have at most "
                f"{self._settings.max_images}. Send the rest in another.",
                limit=self._settings.max_images,
            )

    def _options(self, submission: Submission) -> Options:
        options = submission.options
        return replace(
            options,
            collective=len(submission.uploads) if options.collective else None,
            prompt=self._text("prompt", options.prompt),
            system=self._text("system", options.system),
            language=self._text("language", options.language),
            flag=self._text("flag", options.flag),
        )

    def _text(self, name: str, prompt: str | None) -> str | None:
        prompt = (prompt or "").strip()
        if len(prompt) > self._settings.max_prompt_chars:
            raise InvalidPrompt(
                f"The {name} has {len(prompt)} characters; "
                f"at most {self._settings.max_prompt_chars} are allowed."
            )
        if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in prompt):
            raise InvalidPrompt(f"The {name} holds control characters. Send plain text.")
        return prompt or None

    def _taken(self, submission: Submission, put: Callable[[bytes], str]) -> list[Taken]:
        if submission.options.collective is None:
            return [(each, self._take(each, put)) for each in submission.uploads]
        return [collected([(each, self._take(each, digest)) for each in submission.uploads], put)]

    def _take(self, upload: Upload | Link, put: Callable[[bytes], str]) -> Kept | Link | ImageError:
        try:
            if isinstance(upload, Link):
                check(upload.url, self._rules)
                return upload
            data = upload.read()
            info = images.inspect(data, self._limits)
        except ImageError as error:
            return error
        return Kept(put(data), info, upload.read)


def _fingerprint(submission: Submission, listed: Sequence[Picture]) -> str:
    # What is left at its default does not count, so that a field more changes no fingerprint.
    options = {
        field.name: getattr(submission, field.name)
        for field in fields(submission)
        if field.name not in NOT_CONTENT and getattr(submission, field.name) != field.default
    }
    return idempotency.fingerprint(options | submission.options.given, listed)


def _picture(upload: Upload | Link, item: Kept | Link | ImageError) -> Picture:
    match item:
        case Kept():
            return Picture(upload.file_name, item.sha256)
        case Link():
            return Picture(upload.file_name, None, source_url=item.url)
    return Picture(upload.file_name, None, item)
