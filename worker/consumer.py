"""A Celery consumer that outlives a broker restart, and messages that nobody should have sent.

Celery 5.7.0 closes the broken connection while acks are in flight; closing restores unacked
messages through a channel that is gone, raises `AttributeError`, and the worker exits with code 1.
Here that error counts as what it is: a lost connection.

A message of another shape than Celery's makes it raise what it does not catch: the worker exits,
the message returns to the queue, and the next worker exits too. Here it is refused. What is no
message at all, in the list of Redis, is taken from it and costs a connection.

Its events of tasks have a connection of their own, which its event loop reads. A thread that tells
an event there waits for the broker's confirmation, and the loop may read that first: the thread
then waits on, and every other that has an event to tell waits for it. Here the loop alone tells.
"""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What the transport raises over bytes that are no message; the first also over a connection."""


EVENTS_S = 0.5
"""How late Flower may hear of a task. Told one by one, events cost a busy worker a message each."""


class SafeConsumer(Consumer):  # type: ignore[misc] # celery has no types
    """`Consumer` that drops a dead connection, or a bad message, instead of dying with it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lost: tuple[type[BaseException], ...] = self.connection_errors  # type: ignore[has-type]
        self.connection_errors = (*self._lost, *UNREADABLE)
        self._events_due = 0.0

    @property
    def event_dispatcher(self) -> Any:
        """What tells of tasks, set by Celery with each connection."""
        return self._dispatcher

    @event_dispatcher.setter
    def event_dispatcher(self, dispatcher: Any) -> None:
        if dispatcher is not None:
            dispatcher.buffer_limit = sys.maxsize  # with so many, a task's thread would tell them
        self._dispatcher = dispatcher

    def _flush_events(self) -> None:
        """Called by the event loop as soon as there is one: all that come are told together."""
        now = time.monotonic()
        if now >= self._events_due:
            self._events_due = now + EVENTS_S
            self.hub.call_later(EVENTS_S, super()._flush_events)

    def shutdown(self) -> None:
        """Called by Celery at the end: what still waits to be told is told first."""
        with suppress(*self.connection_errors):
            super()._flush_events()
        super().shutdown()

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's handler; what it cannot make sense of is refused."""
        handle = super().create_task_handler(*args, **kwargs)

        def handle_or_refuse(message: Any) -> None:
            try:
                handle(message)
            except self._lost:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the message is at fault
                log.error(
                    "A message that makes no sense was refused (%s: %.200s).",
                    type(error).__name__,
                    error,
                    extra={"action": "message_refused"},
                )
                message.reject_log_error(log, self.connection_errors)

        return handle_or_refuse

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
