"""The one submit story: room, look, store, recall, commit, then publish.

When this returns, the pictures are on disk and the rows are committed. Whether a message could be
sent is no condition: the reconciler sends what was not.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner import catalog, details, dispatch, gallery, idempotency, images, tracing
from captioner.access.quota import UNLIMITED, Quota
from captioner.blobs import BlobStore, digest
from captioner.cache import OFF, Cache
from captioner.database import Database
from captioner.errors import (
    ImageError,
    InvalidPrompt,
    NoImages,
    TooManyImages,
)
from captioner.options import UNSAFE, Options
from captioner.options import check as check_options
from captioner.outbound.rules import Rules
from captioner.outbound.urls import check
from captioner.outlook import Lookout, Outlook, Request
from captioner.pictures import Kept
from captioner.publishing import Publisher
from captioner.recalling import recalled
from captioner.settings import Settings
from captioner.storing import Entry, Storing
from captioner.stylers import offered, to_style
from captioner.styles import Styling
from captioner.submission import Receipt, Submission, fingerprint
from captioner.taken import Link, Taken, Upload, collected, refuse_if_none_left, without_past
from captioner.tallies import Tally
from captioner.webhooks import signing
from captioner.work import Order, Picture
from models import IdempotencyKey

log = logging.getLogger(__name__)

LINES = str.maketrans("", "", "\n\t")
"""What may be in a text that a chat model is told or asked, besides plain text: taken out."""


class Intake:
    """Accepts submissions. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: BlobStore,
        publisher: Publisher,
        cache: Cache = OFF,
        *,
        quota: Quota = UNLIMITED,
        when_accepted: Callable[[str, int], None] = lambda _model, _images: None,
    ) -> None:
        self._settings = settings
        self._when_accepted = when_accepted
        self._limits = images.ImageLimits.from_settings(settings)
        self._gallery_limits = gallery.limits(self._limits)
        self._rules = Rules(settings.outbound_allow)
        self._database = database
        self._blobs = blobs
        self._publisher = publisher
        self._cache = cache
        self._quota = quota
        self._lookout = Lookout(settings, database)
        self._storing = Storing(database, blobs)

    @tracing.traced("submit")
    def submit(self, submission: Submission) -> Receipt:
        """Make a durable job of a submission, or find the one that its idempotency key stands for.

        A picture that cannot be captioned fails alone, at its place. Raises a `RequestError` when
        the submission as a whole is wrong (`AllImagesRefused` names each picture), `QueueFull`
        before any picture is read, and a `ServiceError` when it could not be stored; then nothing
        was accepted.
        """
        entry = catalog.find(submission.model or self._settings.model, self._settings)
        model = entry.name
        self._check_count(len(submission.uploads))
        options = self._options(submission, lines=entry.limits.chats)
        check_options(options, entry.limits, model=model)
        styling = submission.styling and offered(submission.styling, self._settings)
        if submission.webhook is not None:
            signing.configured(self._settings)
            check(submission.webhook.url, self._rules)
        earlier = self._earlier(submission)
        if earlier is not None:
            return self._replay(submission, earlier)
        outlook = self._lookout.admit(
            Request(submission.caller, model, len(submission.uploads), submission.priority)
        )
        with self._quota.taken(submission.account, len(submission.uploads)) as undo:
            receipt = self._accept(submission, model, options, styling, outlook)
            if receipt.replayed:
                undo()
            return receipt

    def _accept(
        self,
        submission: Submission,
        model: str,
        options: Options,
        styling: Styling | None,
        outlook: Outlook,
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
            created=outlook.unfinished.at,
            caller=submission.caller,
            owner=submission.owner,
            priority=submission.priority,
            cancel_after_s=submission.cancel_after_s,
            stored=submission.stored,
            expected_s=outlook.expected_of(listed),
            pace_s=1.0 if outlook.pace_s is None else outlook.pace_s,
            webhook=submission.webhook,
            styling=styling,
        )
        kept = [item for _, item in taken if isinstance(item, Kept)]
        about = None
        if submission.gallery:
            about = details.read(kept[0].read(), self._gallery_limits)
        receipt = self._store(submission, Entry(order, kept, listed, tally, about))
        if not receipt.replayed:
            self._note(order, len(listed))
            queued = [n for n, each in enumerate(listed) if not (each.refusal or each.known)]
            if submission.gallery:  # also where the caption is known and thumbnails are not there
                queued = [] if receipt.state.final else [0]
            parcels = dispatch.parcels_of(
                order.job_id,
                model,
                queued,
                self._settings.message_images,
                to_fetch=any(each.source_url for each in listed),
            )
            self._publisher.publish(parcels, hurried=not outlook.busy)
            if styling:
                self._publisher.publish(to_style(order.job_id, listed, styling, self._settings))
        return receipt

    def _note(self, order: Order, images: int) -> None:
        self._when_accepted(order.model, images)
        tracing.mark(job_id=str(order.job_id), model=order.model, images=images)
        marks = {"action": "job_accepted", "job_id": str(order.job_id), "model": order.model}
        log.info("A job was accepted.", extra={**marks, "images": images})

    def _earlier(self, submission: Submission) -> IdempotencyKey | None:
        key, keep_s = submission.idempotency_key, self._settings.keep_keys_s
        if key is None:
            return None
        with self._database.read() as session:
            return idempotency.earlier(session, caller=submission.caller, key=key, keep_s=keep_s)

    def _replay(self, submission: Submission, earlier: IdempotencyKey) -> Receipt:
        """The job of an earlier request, if this is the same. Nothing is stored."""
        listed = [_picture(*each) for each in self._taken(submission, digest)]
        return Receipt(idempotency.same(earlier, fingerprint(submission, listed)), replayed=True)

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
            fingerprint=fingerprint(submission, listed),
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

    def _options(self, submission: Submission, *, lines: bool) -> Options:
        options = submission.options
        return replace(
            options,
            collective=len(submission.uploads) if options.collective else None,
            prompt=self._text("prompt", options.prompt, lines=lines),
            system=self._text("system", options.system, lines=lines),
            language=self._text("language", options.language),
            flag=UNSAFE if options.flag == UNSAFE else self._text("flag", options.flag),
        )

    def _text(self, name: str, prompt: str | None, *, lines: bool = False) -> str | None:
        prompt = (prompt or "").replace("\r\n", "\n").strip()  # as browsers send lines in forms
        plain = prompt.translate(LINES) if lines else prompt
        if len(prompt) > self._settings.max_prompt_chars:
            raise InvalidPrompt(
                f"The {name} has {len(prompt)} characters; "
                f"at most {self._settings.max_prompt_chars} are allowed."
            )
        if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 for character in plain):
            raise InvalidPrompt(f"The {name} holds control characters. Send plain text.")
        return prompt or None

    def _taken(self, submission: Submission, put: Callable[[bytes], str]) -> list[Taken]:
        limits = self._gallery_limits if submission.gallery else self._limits

        def took(put: Callable[[bytes], str]) -> list[Taken]:
            return [(each, self._take(each, put, limits)) for each in submission.uploads]

        if submission.options.collective is None:
            return took(put)
        return [collected(took(digest), put)]

    def _take(
        self, upload: Upload | Link, put: Callable[[bytes], str], limits: images.ImageLimits
    ) -> Kept | Link | ImageError:
        try:
            if isinstance(upload, Link):
                check(upload.url, self._rules)
                return upload
            data = upload.read()
            info = images.inspect(data, limits)
        except ImageError as error:
            return without_past(error)
        return Kept(put(data), info, upload.read)


def _picture(upload: Upload | Link, item: Kept | Link | ImageError) -> Picture:
    match item:
        case Kept():
            return Picture(upload.file_name, item.sha256)
        case Link():
            return Picture(upload.file_name, None, source_url=item.url)
    return Picture(upload.file_name, None, item)
