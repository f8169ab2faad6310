"""The one work story: claim, read, decode, caption, store.

    message -> claim -> blob -> decode pool -> batcher -> conditional update -> wake the waiters

No database session is open while an image is worked on. Each result is stored as it lands.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TypeVar
from uuid import UUID

from captioner import jobs
from captioner.errors import CaptionerError, DatabaseUnavailable, ShuttingDown
from captioner.work import Claim, Outcome
from worker.flow import Flow, Parts

STORE_RETRY_S = 60.0
"""How long a result is kept in memory for a database that is away."""
PAUSE_S = 10.0
"""How long an image is left alone after a part was away for it."""
Answer = TypeVar("Answer")


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
        flow = Flow(self._parts, resident, claims)
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
