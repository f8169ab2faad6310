"""Thumbnails of the pipeline's images, made beside their captions.

The picture is decoded in a child, once, to the largest of them. What is stored is made here of
those pixels alone: upright, and without anything else that the file held. They are there before
the caption is.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace

from captioner import images, pictures
from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.errors import CaptionerError, DatabaseUnavailable, DecoderUnavailable
from captioner.images import Resampling, Within
from captioner.settings import Settings
from captioner.work import Claim, Outcome
from worker.decode_child import for_thumbnail
from worker.decode_lane import DecodedImage
from worker.decode_pool import DecodePool

log = logging.getLogger(__name__)


class Thumbnails:
    """Those of the images of one message."""

    def __init__(self, settings: Settings, blobs: BlobStore, decoders: DecodePool) -> None:
        self._sides = settings.thumbnail_sides
        self._blobs = blobs
        self._decoders = decoders
        self._decoding: dict[Claim, Future[DecodedImage]] = {}

    def begin(self, claim: Claim, data: bytes) -> None:
        """Have the picture decoded. Returns at once."""
        side = max(self._sides.values())
        self._decoding[claim] = self._decoders.submit(
            data, size=Within(side, side), resampling=Resampling.LANCZOS, work=for_thumbnail
        )

    def stored(self, outcome: Outcome) -> Outcome:
        """The same outcome, once its thumbnails are stored; or what kept them from it.

        Waits for the decoder, which has had the picture for as long as its caption took. Without
        a caption there are none.
        """
        decoding = self._decoding.pop(outcome.claim, None)
        if decoding is None or outcome.claim.blob_sha256 is None:
            return outcome
        if outcome.error is not None:
            decoding.cancel()
            return outcome
        try:
            pixels = decoding.result().pixels
            files = {name: images.jpeg(pixels, (n, n)) for name, n in self._sides.items()}
            self._blobs.put_thumbnails(outcome.claim.blob_sha256, files)
        except CaptionerError as error:
            return replace(outcome, error=error)
        except Exception as error:
            marks = {"action": "thumbnails_failed", "job_id": str(outcome.claim.job_id)}
            log.error("Thumbnails failed.", exc_info=error, extra=marks)
            return replace(outcome, error=DecoderUnavailable(f"{type(error).__name__}."))
        return outcome


def drop_deleted(database: Database, blobs: BlobStore, outcomes: Iterable[Outcome]) -> None:
    """Take the thumbnails away again of pictures that were deleted while they were made.

    A deletion that comes later removes them itself. Never raises: what is left, the cleaner finds.
    """
    made = {o.claim.blob_sha256 for o in outcomes if o.claim.thumbnails and o.error is None}
    found = {sha256 for sha256 in made if sha256}
    if not found:
        return
    try:
        with database.read() as session:
            gone = found - pictures.needed(session, found)
        pictures.remove(database, blobs, gone)
    except DatabaseUnavailable as error:
        log.warning("Thumbnails may stay for now: %s", error.detail)
