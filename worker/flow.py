"""The images of one message, each on its own way: read, decode, caption.

No database is touched here: what became of an image is told, and stored by the pipeline.
"""

import logging
import threading
from collections import deque
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from captioner.blobs import BlobStore
from captioner.cache import OFF, Cache
from captioner.database import Database
from captioner.errors import (
    CaptionerError,
    CaptionFailed,
    DecoderUnavailable,
    PictureMissing,
    ShuttingDown,
)
from captioner.settings import Settings
from captioner.wakeups import Herald
from captioner.work import Claim, Outcome, Timings
from worker.batching import Done
from worker.decode_pool import DecodePool
from worker.engines.house import EngineHouse, Resident
from worker.engines.protocol import Answer
from worker.engines.wishes import Wish
from worker.leases import Halt, HeldClaims
from worker.meters import Meters
from worker.pace import Pace
from worker.sharing import Sharing

log = logging.getLogger(__name__)


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


class Flow:
    """The images of one message on their way through decoding and captioning.

    One whose halt is done is through as soon as no work on it goes on: at once while it waits.
    """

    def __init__(self, parts: Parts, resident: Resident, claims: Sequence[Claim]) -> None:
        self._parts = parts
        self._resident = resident
        self._to_start = deque(claims)
        self._decoding: dict[Future[Any], Claim] = {}
        self._captioning: dict[Future[Any], tuple[Claim, float]] = {}
        self._halts: dict[Claim, Halt] = {claim: parts.held.halt_of(claim) for claim in claims}

    def advance(self) -> list[Outcome]:
        """Wait until at least one image is through, and say what became of it; empty at the end."""
        outcomes: list[Outcome] = []
        while not outcomes and (self._to_start or self._decoding or self._captioning):
            calls = [halt for halt in self._halts.values() if not halt.done()]  # before looking
            outcomes += self._halted() + self._start()
            if outcomes:
                break
            under_way = [*self._decoding, *self._captioning]
            done, _ = wait([*under_way, *calls], return_when=FIRST_COMPLETED)
            for future in done.intersection(under_way):
                outcomes += self._step(future)
        for outcome in outcomes:
            self._halts.pop(outcome.claim, None)
        return outcomes

    def _halted(self) -> list[Outcome]:
        """Take out those that are halted, and that nobody has begun to work on."""
        stopped = {claim: halt for claim, halt in self._halts.items() if halt.done()}
        if not stopped:
            return []
        out = [claim for claim in self._to_start if claim in stopped]
        self._to_start = deque(claim for claim in self._to_start if claim not in stopped)
        out += [self._decoding.pop(f) for f in _withdrawn(self._decoding, stopped)]
        for future in _withdrawn({f: c for f, (c, _) in self._captioning.items()}, stopped):
            out.append(self._captioning.pop(future)[0])
        return [Outcome(claim, error=stopped[claim].result()) for claim in out]

    def _start(self) -> list[Outcome]:
        # A few at a time: each message in flight holds that many files in memory, not all.
        failed = []
        while self._to_start and len(self._decoding) < self._parts.settings.decode_processes:
            claim = self._to_start.popleft()
            try:
                if self._parts.draining.is_set():
                    raise ShuttingDown("This worker is draining.")
                if claim.blob_sha256 is None:
                    raise PictureMissing("The picture was never stored.")
                data = self._parts.blobs.get(claim.blob_sha256)
                engine = self._resident.engine
                pixels = self._parts.decoders.submit(
                    data, size=engine.image_size, resampling=engine.resampling
                )
                self._decoding[pixels] = claim
            except CaptionerError as error:
                failed.append(Outcome(claim, error=error))
        return failed

    def _step(self, future: Future[Any]) -> list[Outcome]:
        if future in self._decoding:
            return self._decoded(self._decoding.pop(future), future)
        claim, decode_ms = self._captioning.pop(future)
        return [self._captioned(claim, decode_ms, future)]

    def _decoded(self, claim: Claim, future: Future[Any]) -> list[Outcome]:
        try:
            picture = future.result()
        except CaptionerError as error:
            return [Outcome(claim, error=error)]
        except Exception as error:
            log.error("The decode pool failed.", exc_info=error, extra={"action": "decode_failed"})
            return [Outcome(claim, error=DecoderUnavailable(f"{type(error).__name__}."))]
        halt = self._halts[claim]
        if halt.done():
            return [Outcome(claim, error=halt.result(), timings=Timings(picture.decode_ms))]
        self._captioning[self._submit(claim, Wish(picture.pixels, halt))] = (
            claim,
            picture.decode_ms,
        )
        return []

    def _submit(self, claim: Claim, wish: Wish) -> "Future[Done[Answer]]":
        batcher = self._resident.batcher
        if claim.alone or not claim.options.repeatable:
            return batcher.submit(
                wish,
                group=claim.options,
                alone=claim.alone,
                rank=claim.rank,
                hurried=claim.hurried,
            )
        key = (claim.model, self._resident.version, claim.blob_sha256, claim.options)
        return self._parts.sharing.submit(
            batcher,
            wish,
            key=key,
            group=claim.options,
            rank=claim.rank,
            hurried=claim.hurried,
        )

    def _captioned(self, claim: Claim, decode_ms: float, future: Future[Done[Answer]]) -> Outcome:
        try:
            done = future.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this image's
            return Outcome(claim, error=_named(error), timings=Timings(decode_ms))
        timings = Timings(decode_ms, done.wait_ms, done.run_ms, done.batch_size)
        if done.result is None:
            return Outcome(claim, error=self._halts[claim].result(), timings=timings)
        if isinstance(done.result, CaptionerError):
            return Outcome(claim, error=done.result, timings=timings)
        text = done.result.text
        return Outcome(
            claim,
            caption=text or None,
            score=done.result.score,
            others=tuple((other.text, other.score) for other in done.result.others),
            error=None if text else CaptionFailed("The model gave an empty caption."),
            model_revision=self._resident.engine.revision,
            version=self._resident.version,
            timings=timings,
        )


def _withdrawn(futures: Mapping[Future[Any], Claim], claims: Container[Claim]) -> list[Future[Any]]:
    """Cancel the futures of these claims. Returns those that had not begun to run."""
    return [future for future, claim in futures.items() if claim in claims and future.cancel()]


def _named(error: Exception) -> CaptionerError:
    if isinstance(error, CaptionerError):
        return error
    log.error("Captioning raised.", exc_info=error, extra={"action": "caption_failed"})
    return CaptionFailed(f"The engine raised {type(error).__name__}.")
