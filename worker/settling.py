"""What became of claims is stored, or they are handed back: by all who work on images."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar
from uuid import UUID

from captioner import jobs
from captioner.errors import CaptionFailed, DatabaseUnavailable, ShuttingDown
from captioner.together import Together
from captioner.work import Outcome
from models import JobState
from worker.flow import Parts
from worker.remembering import forget_deleted, remember
from worker.thumbnails import drop_deleted

log = logging.getLogger(__name__)

STORE_RETRY_S = 60.0
"""How long a result is kept in memory for a database that is away."""
PAUSE_S = 10.0
"""How long an image is left alone after a part was away for it."""
REST_S = 0.03
Answer = TypeVar("Answer")


class Settling:
    """Stores outcomes, those of many threads at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._together: Together[list[Outcome], None] = Together(
            self._settle, name="settling", rest_s=REST_S
        )

    def settle(self, outcomes: list[Outcome]) -> "Future[None]":
        """Store what is final; hand back what may work later. Returns at once.

        The future raises `DatabaseUnavailable` when the database was away for long.
        """
        return self._together.put(outcomes)

    def _settle(self, groups: list[list[Outcome]]) -> list[None]:
        outcomes = [outcome for group in groups for outcome in group]
        held_back = [outcome for outcome in outcomes if _may_work_later(outcome)]
        final = [outcome for outcome in outcomes if not _may_work_later(outcome)]
        if final:
            self._finish(final)
        if held_back:
            self._parts.herald.announce(patiently(lambda: self._release(held_back)))
        self._parts.held.drop([outcome.claim for outcome in outcomes])
        return [None for _ in groups]

    def _finish(self, outcomes: list[Outcome]) -> None:
        parts = self._parts
        changed, outcomes = self._stored(outcomes)
        parts.meters.finished(outcomes)
        # Before the waiters wake: whoever then sends the picture again finds its caption.
        remembered = remember(parts.cache, outcomes)
        parts.herald.announce(changed)
        parts.to_style([o.claim for o in outcomes if o.claim.styling and o.error is None])
        forget_deleted(parts.cache, parts.database, remembered)
        drop_deleted(parts.database, parts.blobs, outcomes)

    def _stored(self, outcomes: list[Outcome]) -> tuple[dict[UUID, JobState], list[Outcome]]:
        """Store them, so that one that cannot be stored is an error of that image alone."""
        try:
            return patiently(lambda: self._store(outcomes)), outcomes
        except DatabaseUnavailable:
            raise
        except Exception as mistake:  # noqa: BLE001 - whatever it is, it is of an image
            if len(outcomes) > 1:
                each = [self._stored([outcome]) for outcome in outcomes]
                changed = {job_id: state for found, _ in each for job_id, state in found.items()}
                return changed, [outcome for _, stored in each for outcome in stored]
            claim = outcomes[0].claim
            what = type(mistake).__name__  # and no more: a database may quote the caption
            where = {"action": "not_stored", "job_id": str(claim.job_id), "model": claim.model}
            log.error("A result could not be stored: %s.", what, extra=where)
            error = CaptionFailed(f"Its result could not be stored ({what}).")
            failed = [Outcome(claim, error=error)]
            return patiently(lambda: self._store(failed)), failed

    def _store(self, outcomes: list[Outcome]) -> dict[UUID, JobState]:
        with self._parts.database.write() as session:
            return jobs.finish(session, outcomes)

    def _release(self, outcomes: list[Outcome]) -> dict[UUID, JobState]:
        leaving = [o.claim for o in outcomes if isinstance(o.error, ShuttingDown)]
        waiting = [o.claim for o in outcomes if not isinstance(o.error, ShuttingDown)]
        with self._parts.database.write() as session:
            changed = jobs.release(session, leaving)
            return changed | jobs.release(session, waiting, wait_s=PAUSE_S)


def _may_work_later(outcome: Outcome) -> bool:
    error = outcome.error
    if isinstance(error, ShuttingDown):
        return True
    return error is not None and error.retryable and outcome.claim.may_wait


def patiently(write: Callable[[], Answer]) -> Answer:
    """Write, trying again while the database is away; its last error, once that took too long."""
    deadline, pause_s = time.monotonic() + STORE_RETRY_S, 0.2
    while True:
        try:
            return write()
        except DatabaseUnavailable:
            if time.monotonic() + pause_s > deadline:
                raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
