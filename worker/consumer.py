"""A Celery consumer that outlives a broker restart.

Celery 5.7.0 closes the broken connection while acks are in flight; closing restores unacked
messages through a channel that is gone, raises `AttributeError`, and the worker exits with code 1.
Here that error counts as what it is: a lost connection.
"""

import logging
from typing import Any

from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)


class SafeConsumer(Consumer):  # type: ignore[misc] # celery has no types
    """`Consumer` that drops a dead connection instead of dying with it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known: tuple[type[BaseException], ...] = self.connection_errors  # type: ignore[has-type]
        self.connection_errors = (*known, AttributeError)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Log the loss, then let the restart of the blueprint make a new connection."""
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001 - whatever closing raises, the connection is gone
            log.warning(
                "The broken broker connection was dropped (%s: %s).",
                type(error).__name__,
                error,
                extra={"action": "connection_dropped"},
            )
            self.connection = None
