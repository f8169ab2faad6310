"""The images of one message, each on its own way: read, decode, caption.

No database is touched here: what became of an image is told, and stored by the pipeline.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from captioner.blobs import BlobStore
from captioner.cache import OFF, Cache
from captioner.collection import unpacked
from captioner.database import Database
from captioner.errors import (
    CaptionerError,
    CaptionFailed,
    DecoderUnavailable,
    ImageError,
    ModelNotReady,
    PictureMissing,
    ShuttingDown,
)
from captioner.images import Within
from captioner.options import Options
from captioner.settings import Settings
from captioner.wakeups import Herald
from captioner.work import Claim, Outcome, Timings
from worker.batching import Done
from worker.decode_lane import DecodedImage
from worker.decode_pool import DecodePool
from worker.dialogue import Dialogue, Said
from worker.engines.house import EngineHouse, Resident
from worker.engines.protocol import Answer
from worker.engines.wishes import Wish
from worker.gathered import gathered
from worker.leases import Halt, HeldClaims
from worker.meters import Meters
from worker.pace import Pace
from worker.sharing import Sharing
from worker.spans import NO_SPANS, NoSpans
from worker.thumbnails import Thumbnails

log = logging.getLogger(__name__)

HELD_BYTES = 256 * 1024
"""Files that one message has in memory; more than that only as many as are decoded at once."""


@dataclass(frozen=True)
class Parts:
    """What the pipeline works with."""

    settings: Settings
    database: Database
    blobs: BlobStore
    decoders: DecodePool
    house: EngineHouse
    herald: Herald
    held: HeldClaims
    draining: threading.Event
    worker: str
    pace: Pace = field(default_factory=Pace)
    meters: Meters = field(default_factory=Meters)
    sharing: Sharing = field(default_factory=Sharing)
    cache: Cache = OFF
    to_style: Callable[[Sequence[Claim]], None] = lambda _: None
    """Told of images that have their captions, and wait for their styler."""


@dataclass
class _Talk:
    """An image that is being captioned: its dialogue with the engine, and how long that took."""

    claim: Claim
    wish: Wish
    dialogue: Dialogue
    timings: Timings

    def add(self, done: Done[Answer]) -> None:
        """Count one more answer. The batch that is told is the first one's."""
        times = self.timings
        self.timings = Timings(
            times.decode_ms,
            (times.wait_ms or 0.0) + done.wait_ms,
            (times.infer_ms or 0.0) + done.run_ms,
            times.batch_size or done.batch_size,
        )


class Flow:
    """The images of one message on their way through decoding and captioning.

    One whose halt is done is through as soon as no work on it goes on: at once while it waits.
    """

    def __init__(
        self,
        parts: Parts,
        resident: Resident,
        claims: Sequence[Claim],
        spans: NoSpans = NO_SPANS,
    ) -> None:
        self._spans = spans
        self._parts = parts
        self._resident = resident
        self._to_start = deque(claims)
        self._decoding: dict[Future[Any], Claim] = {}
        self._sizes: dict[Future[Any], int] = {}
        self._held_bytes = 0
        """The sum of these sizes."""
        self._captioning: dict[Future[Any], _Talk] = {}
        self._thumbnails = Thumbnails(parts.settings, parts.blobs, parts.decoders)
        self._halts: dict[Claim, Halt] = {claim: parts.held.halt_of(claim) for claim in claims}
        self._done: SimpleQueue[Future[Any]] = SimpleQueue()
        """What has ended and is not looked at yet: decoding, captioning, and halts."""
        for halt in self._halts.values():
            halt.add_done_callback(self._done.put)

    def advance(self) -> list[Outcome]:
        """Wait until at least one image is through, and say what became of it; empty at the end."""
        outcomes: list[Outcome] = []
        while not outcomes and (self._to_start or self._decoding or self._captioning):
            outcomes += self._halted() + self._start()
            if outcomes:
                break
            for future in self._ended():
                outcomes += self._step(future)
        for outcome in outcomes:
            self._halts.pop(outcome.claim, None)
        return [self._thumbnails.stored(outcome) for outcome in outcomes]

    def _ended(self) -> list[Future[Any]]:
        """Wait for one, and take those that ended meanwhile along."""
        ended = [self._done.get()]
        try:
            while True:
                ended.append(self._done.get_nowait())
        except Empty:
            return ended

    def _halted(self) -> list[Outcome]:
        """Take out those that are halted, and that nobody has begun to work on."""
        stopped = {claim: halt for claim, halt in self._halts.items() if halt.done()}
        if not stopped:
            return []
        out = [claim for claim in self._to_start if claim in stopped]
        self._to_start = deque(claim for claim in self._to_start if claim not in stopped)
        for future in _withdrawn(self._decoding, stopped):
            self._held_bytes -= self._sizes.pop(future)
            out.append(self._decoding.pop(future))
        withdrawn = _withdrawn({f: t.claim for f, t in self._captioning.items()}, stopped)
        out += [self._captioning.pop(future).claim for future in withdrawn]
        return [Outcome(claim, error=stopped[claim].result()) for claim in out]

    def _start(self) -> list[Outcome]:
        # A few at a time: each message in flight holds that many files in memory, not all.
        failed = []
        while self._to_start and self._has_room():
            claim = self._to_start.popleft()
            self._spans.begin(claim, "decode")
            try:
                if self._parts.draining.is_set():
                    raise ShuttingDown("This worker is draining.")
                if claim.blob_sha256 is None:
                    raise PictureMissing("The picture was never stored.")
                data = self._parts.blobs.get(claim.blob_sha256)
                if claim.thumbnails:
                    self._thumbnails.begin(claim, data)
                future = self._decode(claim, data)
                self._decoding[future] = claim
                self._sizes[future] = len(data)
                self._held_bytes += len(data)
                future.add_done_callback(self._done.put)
            except CaptionerError as error:
                failed.append(Outcome(claim, error=error))
        return failed

    def _has_room(self) -> bool:
        few = len(self._decoding) < self._parts.settings.decode_processes
        return few or self._held_bytes < HELD_BYTES

    def _decode(self, claim: Claim, data: bytes) -> Future[DecodedImage]:
        decode = partial(
            self._parts.decoders.submit,
            size=self._resident.engine.image_size,
            resampling=self._resident.engine.resampling,
        )
        if claim.options.collective is None:
            return decode(data)
        alike = not isinstance(self._resident.engine.image_size, Within)
        return gathered([decode(each) for each in unpacked(data)], alike=alike)

    def _step(self, future: Future[Any]) -> list[Outcome]:
        if future in self._decoding:
            self._held_bytes -= self._sizes.pop(future)
            return self._decoded(self._decoding.pop(future), future)
        if future in self._captioning:
            return self._answered(self._captioning.pop(future), future)
        return []  # a halt, or withdrawn since

    def _decoded(self, claim: Claim, future: Future[Any]) -> list[Outcome]:
        try:
            picture = future.result()
        except CaptionerError as error:
            if isinstance(error, ImageError):
                log.info("A picture cannot be read: %s", error.code, extra=_of(claim, "image_bad"))
            return [Outcome(claim, error=error)]
        except Exception as error:
            log.error("The decode pool failed.", exc_info=error, extra=_of(claim, "decode_failed"))
            return [Outcome(claim, error=DecoderUnavailable(f"{type(error).__name__}."))]
        halt = self._halts[claim]
        if halt.done():
            return [Outcome(claim, error=halt.result(), timings=Timings(picture.decode_ms))]
        dialogue = Dialogue(claim.options, chats=self._resident.chats)
        wish = Wish(picture.pixels, halt, self._spans.begin(claim, "caption"))
        return self._ask(_Talk(claim, wish, dialogue, Timings(picture.decode_ms)))

    def _ask(self, talk: _Talk) -> list[Outcome]:
        future = self._submit(talk.claim, talk.wish, talk.dialogue.asks)
        self._captioning[future] = talk
        future.add_done_callback(self._done.put)
        return []

    def _submit(self, claim: Claim, wish: Wish, asks: Options) -> "Future[Done[Answer]]":
        batcher = self._resident.batcher
        rank, hurried = claim.rank, claim.hurried
        if claim.alone or not asks.repeatable:
            return batcher.submit(wish, group=asks, alone=claim.alone, rank=rank, hurried=hurried)
        key = (claim.model, self._resident.version, claim.blob_sha256, asks)
        return self._parts.sharing.submit(
            batcher, wish, key=key, group=asks, rank=rank, hurried=hurried
        )

    def _answered(self, talk: _Talk, future: Future[Done[Answer]]) -> list[Outcome]:
        halt = self._halts[talk.claim]
        try:
            said = self._heard(talk, future)
        except CaptionerError as error:
            return [Outcome(talk.claim, error=error, timings=talk.timings)]
        if said is not None:
            return [self._captioned(talk, said)]
        if halt.done():
            return [Outcome(talk.claim, error=halt.result(), timings=talk.timings)]
        return self._ask(talk)

    def _heard(self, talk: _Talk, future: Future[Done[Answer]]) -> Said | None:
        try:
            done = future.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this image's
            return talk.dialogue.fails(_named(error, talk.claim))
        talk.add(done)
        if done.result is None:
            raise self._halts[talk.claim].result()
        if isinstance(done.result, CaptionerError):
            return talk.dialogue.fails(done.result)
        return talk.dialogue.hears(done.result)

    def _captioned(self, talk: _Talk, said: Said) -> Outcome:
        text = said.caption.text
        return Outcome(
            talk.claim,
            caption=text or None,
            score=said.caption.score,
            others=tuple((other.text, other.score) for other in said.caption.others),
            retried_for=said.retried_for,
            tags=said.tags,
            flagged=said.flagged,
            error=None if text else CaptionFailed("The model gave an empty caption."),
            model_revision=self._resident.engine.revision,
            version=self._resident.version,
            timings=talk.timings,
        )


def _withdrawn(futures: Mapping[Future[Any], Claim], claims: Container[Claim]) -> list[Future[Any]]:
    """Cancel the futures of these claims. Returns those that had not begun to run."""
    return [future for future, claim in futures.items() if claim in claims and future.cancel()]


def _of(claim: Claim, action: str) -> dict[str, str]:
    """What a line about an image says besides its sentence."""
    return {"action": action, "job_id": str(claim.job_id), "model": claim.model}


def _named(error: Exception, claim: Claim) -> CaptionerError:
    if isinstance(error, CaptionerError):
        return error
    if isinstance(error, MemoryError):  # for it alone, too: others may have the memory just now
        log.warning("An engine has too little memory.", extra=_of(claim, "caption_later"))
        return ModelNotReady("The engine has too little memory for this picture now.")
    log.error("Captioning raised.", exc_info=error, extra=_of(claim, "caption_failed"))
    return CaptionFailed(f"The engine raised {type(error).__name__}.")
