"""The quiet threads of a worker: it says that it lives, renews leases, and looks for lost work."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from uuid import UUID

import redis
from amqp.exceptions import AMQPError  # type: ignore[import-untyped]
from kombu.exceptions import OperationalError
from sqlalchemy import delete
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from captioner import figures, jobs
from captioner.clock import now, now_plus
from captioner.database import Database
from captioner.errors import DatabaseUnavailable
from captioner.settings import Settings
from models import Worker
from worker.engines.house import EngineHouse
from worker.leases import HeldClaims
from worker.meters import Meters
from worker.pace import Pace

log = logging.getLogger(__name__)

BROKER_AWAY = (ConnectionError, TimeoutError, OperationalError, AMQPError, redis.RedisError)
"""What kombu raises, and what it lets through of the clients below it."""
FORGOTTEN_S = 24 * 3600.0
"""Age at which the row of a worker that was killed is removed."""


class Keeper:
    """Runs chores, each in a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def every(self, seconds: float, chore: Callable[[], object], *, name: str) -> None:
        """Do the chore now and then again and again. What it raises is logged, and it goes on."""

        def repeat() -> None:
            while not self._ending.is_set():
                safely(chore, name)
                self._ending.wait(seconds)

        thread = threading.Thread(target=repeat, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """End the threads after what they are doing."""
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=5)


def safely(chore: Callable[[], object], name: str) -> None:
    """Do it; log what it raises instead of passing it on."""
    try:
        chore()
    except DatabaseUnavailable as error:
        log.warning("%s: %s", name, error.detail, extra={"action": "chore_failed"})
    except BROKER_AWAY as error:
        log.warning(
            "%s: the broker is away (%s).",
            name,
            type(error).__name__,
            exc_info=log.isEnabledFor(logging.DEBUG),
            extra={"action": "chore_failed"},
        )
    except Exception:
        log.exception("%s failed; it goes on.", name, extra={"action": "chore_failed"})


class Registration:
    """This process's row in `workers`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        house: EngineHouse,
        held: HeldClaims,
        draining: threading.Event,
        pace: Pace,
        meters: Meters,
        name: str,
    ) -> None:
        self._id: UUID = uuid7()
        self._settings = settings
        self._database = database
        self._house = house
        self._held = held
        self._draining = draining
        self._pace = pace
        self._meters = meters
        self._name = name
        self._one_at_a_time = threading.Lock()
        self.stylers: Callable[[], dict[str, str]] = dict
        """Says how each styler's breaker stands."""

    def beat(self) -> None:
        """Give a sign of life, say how the models are and what was done, and renew the leases."""
        told = self._meters.told()
        with self._one_at_a_time, told as sums, self._database.write() as session:
            held = self._held.all()
            row = session.get(Worker, self._id) or self._enter(session)
            row.device = self._house.device
            row.models = self._house.states()
            row.draining = self._draining.is_set()
            row.held = len(held)
            row.pace = self._pace.measured()
            row.stylers = self.stylers()
            row.heartbeat_at = now()
            jobs.renew(session, held, lease_s=self._settings.lease_s)
            figures.add(session, sums)

    def _enter(self, session: Session) -> Worker:
        session.execute(delete(Worker).where(Worker.heartbeat_at < now_plus(-FORGOTTEN_S)))
        row = Worker(
            id=self._id,
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=now(),
        )
        session.add(row)
        return row

    def end(self) -> None:
        """Leave: the row goes, so that nobody counts on this process."""
        with self._meters.told() as sums, self._database.write() as session:
            row = session.get(Worker, self._id)
            if row is not None:
                session.delete(row)
            figures.add(session, sums)
