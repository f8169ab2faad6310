"""Finds work that no message carries any more, and sends it again.

A message can be lost, and a worker can die with images in its hands. The rows say so: an image is
queued without a message, or its lease ran out. Any number of workers may do this at once: what one
marks, another does not see.
"""

import logging
import time
from uuid import UUID

from sqlalchemy.orm import Session

from captioner import dispatch, jobs, queries
from captioner.database import Database
from captioner.errors import DatabaseUnavailable
from captioner.publishing import Publisher
from captioner.settings import Settings
from captioner.wakeups import Herald
from models import JobState
from worker.styling.absence import Absence

log = logging.getLogger(__name__)

STALE_S = 5.0
"""Age at which a message counts as lost, once its queue is empty.

Any message serves any image, so one that was lost is missed by whichever image is last in line:
when the queue is empty and images wait, messages are missing.
"""
AGAIN_STALE_S = 30.0
"""That age for an image that lost an attempt: its message waits for its turn in a worker."""
STALE_IN_BACKLOG_S = 300.0
"""That age while others still wait in the queue, where a message may be as old and well."""
LIMIT = 5_000
"""Images that one look takes up."""


class Reconciler:
    """One look at a time: `look` is called again and again by the keeper."""

    def __init__(
        self, settings: Settings, database: Database, publisher: Publisher, herald: Herald
    ) -> None:
        self._settings = settings
        self._database = database
        self._publisher = publisher
        self._herald = herald
        self._patient_until = 0.0
        self._absence = Absence()

    def look(self) -> int:
        """Take back expired leases and publish what no message carries. Returns messages sent."""
        try:
            return self._look()
        except DatabaseUnavailable:
            # Once it is back, those who live first renew what ran out meanwhile.
            settings = self._settings
            grace_s = settings.reconcile_s + 2 * settings.heartbeat_s
            self._patient_until = time.monotonic() + grace_s
            raise

    def _look(self) -> int:
        steps = [jobs.adopt, jobs.expire_due, jobs.stop_left]
        if time.monotonic() >= self._patient_until:
            steps += [self._take_back_expired, self._take_back_styling]
        for step in steps:  # a transaction each, as each locks jobs by their ids
            with self._database.write() as session:
                changed = step(session)
            self._herald.announce(changed)
        sent = 0
        for model in self._settings.served_models:
            sent += self._republish(model)
        return sent

    def _take_back_expired(self, session: Session) -> dict[UUID, JobState]:
        return jobs.take_back_expired(session, max_attempts=self._settings.max_attempts)

    def _take_back_styling(self, session: Session) -> dict[UUID, JobState]:
        settings = self._settings
        self._absence.look(queries.live_workers(session, heartbeat_s=settings.heartbeat_s))
        return jobs.take_back_styling(
            session,
            max_attempts=settings.max_attempts,
            absent=self._absence.longer_than(settings.retry_s),
            wait_s=settings.retry_s,
        )

    def _republish(self, model: str) -> int:
        empty = self._publisher.waiting(model) == 0
        with self._database.write() as session:
            parcels = dispatch.take_unpublished(
                session,
                models=[model],
                stale_s=STALE_S if empty else STALE_IN_BACKLOG_S,
                again_stale_s=AGAIN_STALE_S if empty else STALE_IN_BACKLOG_S,
                limit=LIMIT,
                size=self._settings.message_images,
            )
        if parcels:
            log.info(
                "%d messages are sent again.",
                len(parcels),
                extra={"action": "republished", "model": model},
            )
        self._publisher.publish(parcels)
        return len(parcels)
