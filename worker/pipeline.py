"""The one work story: claim, read, decode, caption, store.

    message -> claim -> blob -> decode pool -> batcher -> conditional update -> wake the waiters

No database session is open while an image is worked on. Each result is stored as it lands.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from captioner import jobs
from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.errors import (
    CaptionerError,
    CaptionFailed,
    DatabaseUnavailable,
    DecoderUnavailable,
    ModelUnavailable,
    ShuttingDown,
)
from captioner.settings import Settings
from captioner.wakeups import Herald
from captioner.work import Claim, Outcome, Timings
from worker.batching import Done
from worker.decode_pool import DecodePool
from worker.engines.house import EngineHouse, Resident
from worker.engines.protocol import Caption
from worker.leases import HeldClaims

log = logging.getLogger(__name__)

STORE_RETRY_S = 60.0
"""How long a result is kept in memory for a database that is away."""


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
    worker: str


class Pipeline:
    """Works through messages. `run` is called from many threads at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(self, job_id: UUID, positions: Sequence[int]) -> None:
        """Caption those of the images that are free to take, and store what becomes of each.

        Never raises for a fault of a picture or a model: it is stored as that image's error.
        """
        parts = self._parts
        with parts.database.write() as session:
            claims = jobs.claim(
                session,
                job_id=job_id,
                positions=positions,
                worker=parts.worker,
                lease_s=parts.settings.lease_s,
                max_attempts=parts.settings.max_attempts,
            )
        if claims:
            with parts.held.holding(claims):
                self._caption(claims)

    def _caption(self, claims: list[Claim]) -> None:
        try:
            resident = self._parts.house.get(claims[0].model)
        except ModelUnavailable as error:
            self._store([Outcome(claim, error=error) for claim in claims])
            return
        flow = _Flow(self._parts, resident, claims)
        while landed := flow.advance():
            again = [outcome for outcome in landed if self._may_work_later(outcome)]
            self._store([outcome for outcome in landed if outcome not in again])
            self._release(again)

    def _store(self, outcomes: list[Outcome]) -> None:
        def write() -> list[UUID]:
            with self._parts.database.write() as session:
                return jobs.finish(session, outcomes)

        if outcomes:
            ended = _patiently(write)
            self._parts.held.drop([outcome.claim for outcome in outcomes])
            self._parts.herald.announce(ended)

    def _may_work_later(self, outcome: Outcome) -> bool:
        if outcome.error is None or not outcome.error.retryable:
            return False
        last = outcome.claim.attempt >= self._parts.settings.max_attempts
        return isinstance(outcome.error, ShuttingDown) or not last

    def _release(self, outcomes: list[Outcome]) -> None:
        for counts in (True, False):
            claims = [o.claim for o in outcomes if counts != isinstance(o.error, ShuttingDown)]
            if claims:
                with self._parts.database.write() as session:
                    jobs.release(session, claims, counts=counts)
                self._parts.held.drop(claims)


class _Flow:
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


def _patiently(write: Callable[[], list[UUID]]) -> list[UUID]:
    """Write, trying again while the database is away; its last error, once that took too long."""
    deadline, pause_s = time.monotonic() + STORE_RETRY_S, 0.2
    while True:
        try:
            return write()
        except DatabaseUnavailable:
            if time.monotonic() + pause_s > deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)
