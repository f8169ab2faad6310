"""The one work story: claim, read, decode, caption, store.

    message -> claim -> blob -> decode pool -> batcher -> conditional update -> wake the waiters

No database session is open while an image is worked on. Each result is stored as it lands.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from captioner import jobs
from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.errors import (
    CaptionerError,
    CaptionFailed,
    DatabaseUnavailable,
    DecoderUnavailable,
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
PAUSE_S = 10.0
"""How long an image is left alone after a part was away for it."""
Answer = TypeVar("Answer")


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


class Pipeline:
    """Works through messages. `run` is called from many threads at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._one_by_one = threading.Lock()

    def run(self, job_id: UUID, positions: Sequence[int], *, again: bool = False) -> None:
        """Caption those of the images that are free to take, and store what becomes of each.

        `again`: images that lost an attempt. This process then holds no other such image, so that
        one that kills the process takes none of them along.

        Never raises for a fault of a picture or a model: it is stored as that image's error.
        Raises `DatabaseUnavailable` when the database was away for long.
        """
        with self._one_by_one if again else nullcontext():
            claims = _patiently(lambda: self._claim(job_id, positions, again=again))
            if claims:
                with self._parts.held.holding(claims):
                    self._caption(claims)

    def _claim(self, job_id: UUID, positions: Sequence[int], *, again: bool) -> list[Claim]:
        settings = self._parts.settings
        with self._parts.database.write() as session:
            return jobs.claim(
                session,
                job_id=job_id,
                positions=positions,
                worker=self._parts.worker,
                lease_s=settings.lease_s,
                max_attempts=settings.max_attempts,
                retry_s=settings.retry_s,
                again=again,
            )

    def _caption(self, claims: list[Claim]) -> None:
        try:
            resident = self._parts.house.get(claims[0].model)
        except CaptionerError as error:
            self._settle([Outcome(claim, error=error) for claim in claims])
            return
        flow = _Flow(self._parts, resident, claims)
        while landed := flow.advance():
            self._settle(landed)

    def _settle(self, outcomes: list[Outcome]) -> None:
        """Store what is final; hand back what may work later."""
        held_back = [outcome for outcome in outcomes if _may_work_later(outcome)]
        final = [outcome for outcome in outcomes if outcome not in held_back]
        if final:
            self._parts.herald.announce(_patiently(lambda: self._store(final)))
        if held_back:
            _patiently(lambda: self._release(held_back))
        self._parts.held.drop([outcome.claim for outcome in outcomes])

    def _store(self, outcomes: list[Outcome]) -> list[UUID]:
        with self._parts.database.write() as session:
            return jobs.finish(session, outcomes)

    def _release(self, outcomes: list[Outcome]) -> None:
        leaving = [o.claim for o in outcomes if isinstance(o.error, ShuttingDown)]
        waiting = [o.claim for o in outcomes if not isinstance(o.error, ShuttingDown)]
        with self._parts.database.write() as session:
            jobs.release(session, leaving)
            jobs.release(session, waiting, wait_s=PAUSE_S)


def _may_work_later(outcome: Outcome) -> bool:
    error = outcome.error
    if isinstance(error, ShuttingDown):
        return True
    return error is not None and error.retryable and outcome.claim.may_wait


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


def _patiently(write: Callable[[], Answer]) -> Answer:
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
