"""The images of one message, each on its own way: read, decode, caption.

No database is touched here: what became of an image is told, and stored by the pipeline.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.errors import CaptionerError, CaptionFailed, DecoderUnavailable, ShuttingDown
from captioner.settings import Settings
from captioner.wakeups import Herald
from captioner.work import Claim, Outcome, Timings
from worker.batching import Done
from worker.decode_pool import DecodePool
from worker.engines.house import EngineHouse, Resident
from worker.engines.protocol import Caption
from worker.leases import HeldClaims

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


class Flow:
    """The images of one message on their way through decoding and captioning."""

    def __init__(self, parts: Parts, resident: Resident, claims: Sequence[Claim]) -> None:
        self._parts = parts
        self._resident = resident
        self._to_start = deque(claims)
        self._decoding: dict[Future[Any], Claim] = {}
        self._captioning: dict[Future[Any], tuple[Claim, float]] = {}

    def advance(self) -> list[Outcome]:
        """Wait until at least one image is through, and say what became of it; empty at the end."""
        outcomes: list[Outcome] = []
        while not outcomes and (self._to_start or self._decoding or self._captioning):
            outcomes += self._start()
            if outcomes:
                break
            done, _ = wait([*self._decoding, *self._captioning], return_when=FIRST_COMPLETED)
            for future in done:
                outcomes += self._step(future)
        return outcomes

    def _start(self) -> list[Outcome]:
        # A few at a time: each message in flight holds that many files in memory, not all.
        failed = []
        while self._to_start and len(self._decoding) < self._parts.settings.decode_processes:
            claim = self._to_start.popleft()
            try:
                if self._parts.draining.is_set():
                    raise ShuttingDown("This worker is draining.")
                data = self._parts.blobs.get(claim.blob_sha256)
                size = self._resident.engine.image_size
                self._decoding[self._parts.decoders.submit(data, size=size)] = claim
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
        waiting = self._resident.batcher.submit(
            picture.pixels, group=claim.prompt, alone=claim.alone
        )
        self._captioning[waiting] = (claim, picture.decode_ms)
        return []

    def _captioned(self, claim: Claim, decode_ms: float, future: Future[Done[Caption]]) -> Outcome:
        try:
            done = future.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this image's
            return Outcome(claim, error=_named(error), timings=Timings(decode_ms))
        text = done.result.text
        return Outcome(
            claim,
            caption=text or None,
            error=None if text else CaptionFailed("The model gave an empty caption."),
            model_revision=self._resident.engine.revision,
            timings=Timings(decode_ms, done.wait_ms, done.run_ms),
        )


def _named(error: Exception) -> CaptionerError:
    if isinstance(error, CaptionerError):
        return error
    log.error("Captioning raised.", exc_info=error, extra={"action": "caption_failed"})
    return CaptionFailed(f"The engine raised {type(error).__name__}.")
