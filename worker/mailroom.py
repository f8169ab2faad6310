"""Webhooks in a worker: which are due is looked up, and those asked for are sent, a few at a time.

A receiver that is slow holds a thread of the mailroom's own, never one that captions.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from captioner.database import Database
from captioner.errors import DatabaseUnavailable
from captioner.publishing import Publisher
from captioner.webhooks import due
from captioner.webhooks.sender import Sender

log = logging.getLogger(__name__)

LIMIT = 500
"""Deliveries that one look takes up."""
WAITING = 64
"""Deliveries that may wait here for a thread. The rest goes back to the database, for later."""


class Mailroom:
    """Publishes what is due, and sends what messages ask for. Starts no thread when made."""

    def __init__(
        self, database: Database, sender: Sender, publisher: Publisher, *, threads: int
    ) -> None:
        self._database = database
        self._sender = sender
        self._publisher = publisher
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webhook")
        self._places = threading.BoundedSemaphore(threads + WAITING)

    def publish_due(self) -> int:
        """Send a message for each delivery that is due and has none. Returns how many."""
        with self._database.read() as session:
            if not due.any_due(session):
                return 0
        with self._database.write() as session:
            taken = due.take_due(session, limit=LIMIT)
        for sent, delivery_id in enumerate(taken):
            try:
                self._publisher.send_webhook(delivery_id)
            except Exception:
                self._give_back(taken[sent:])
                raise
        return len(taken)

    def take(self, delivery_id: UUID) -> None:
        """Make one attempt of this delivery, soon, if it is still due. Returns at once."""
        if not self._places.acquire(blocking=False):
            self._give_back([delivery_id])
            return
        try:
            self._threads.submit(self._send, delivery_id)
        except RuntimeError:  # closed
            self._places.release()
            self._give_back([delivery_id])

    def close(self) -> None:
        """Let the attempts that run end. Those that wait are found again by another worker."""
        self._threads.shutdown(cancel_futures=True)

    def _send(self, delivery_id: UUID) -> None:
        try:
            self._sender.send(delivery_id)
        except DatabaseUnavailable as error:
            log.warning("A webhook waits: %s", error.detail, extra={"action": "webhook_waits"})
        except Exception:
            log.exception("A webhook could not be sent.", extra={"action": "webhook_failed"})
        finally:
            self._places.release()

    def _give_back(self, delivery_ids: list[UUID]) -> None:
        with self._database.write() as session:
            due.unpublished(session, delivery_ids)
