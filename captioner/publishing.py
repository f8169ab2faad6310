"""Sending messages, from one thread, so that a slow broker never holds a request.

Any message makes a worker take as many images of its model as it names, whichever are next in line.
So images of several jobs may share one: under load, that is most of what a small job costs.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

from celery import Celery

from captioner import tracing
from captioner.broker import (
    CAPTION_AGAIN_TASK,
    CAPTION_TASK,
    SEND_S,
    STYLE_QUEUE,
    STYLE_TASK,
    WEBHOOK_QUEUE,
    WEBHOOK_TASK,
)
from captioner.catalog import queue_of
from captioner.styles import Styler
from captioner.work import Parcel

log = logging.getLogger(__name__)

PING_S = 2
CLOSE_S = 5
BACKLOG = 10_000
"""Parcels that may wait for a slow broker in memory; past it the reconciler sends them."""
LINGER_S = 0.03
"""How long a parcel that is in no hurry waits for others, to share their message."""


@dataclass(frozen=True)
class _Waiting:
    parcel: Parcel
    hurried: bool
    since: float = field(default_factory=time.monotonic)


class Publisher:
    """Sends parcels; `size` is how many images one message may name.

    What cannot be sent is reported to `on_failure`; it is never lost, only late.
    """

    def __init__(self, app: Celery, *, on_failure: Callable[[Parcel], None], size: int) -> None:
        self._app = app
        self._on_failure = on_failure
        self._size = size
        self._parcels: queue.Queue[_Waiting] = queue.Queue(BACKLOG)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def publish(self, parcels: Iterable[Parcel], *, hurried: bool = True) -> None:
        """Hand over for sending; returns at once. Not `hurried`: a moment is no loss, as there is
        a line to wait in.
        """
        self._start()
        origin = tracing.here()
        for given in parcels:
            parcel = replace(given, origin=origin) if origin else given
            try:
                self._parcels.put_nowait(_Waiting(parcel, hurried))
            except queue.Full:
                self._failed([parcel], "too many messages are waiting for the broker")

    def send(self, *parcels: Parcel) -> None:
        """Send parcels of one model in one message, now. One whose attempt was lost is alone.

        Raises what kombu raises when the broker is away.
        """
        first, *others = parcels
        if first.styler is not None:
            self._send_to_style(first)
            return
        beside: dict[str, list[int]] = {}
        for other in others:
            beside.setdefault(str(other.job_id), []).extend(other.positions)
        more: dict[str, object] = {"beside": beside} if beside else {}
        if any(parcel.to_fetch for parcel in parcels):
            more["to_fetch"] = True
        self._app.send_task(
            CAPTION_AGAIN_TASK if first.again else CAPTION_TASK,
            args=(str(first.job_id), list(first.positions)),
            kwargs={"model": first.model, **more},
            queue=queue_of(first.model),
            ignore_result=True,
            confirm_timeout=SEND_S,
        )

    def _send_to_style(self, parcel: Parcel) -> None:
        local = parcel.styler is Styler.LOCAL
        self._app.send_task(
            STYLE_TASK,
            args=(str(parcel.job_id), list(parcel.positions)),
            queue=queue_of(parcel.model) if local else STYLE_QUEUE,
            ignore_result=True,
            confirm_timeout=SEND_S,
        )

    def send_webhook(self, delivery_id: UUID) -> None:
        """Ask for one attempt of a delivery. Raises what kombu raises when the broker is away."""
        self._app.send_task(
            WEBHOOK_TASK, args=(str(delivery_id),), queue=WEBHOOK_QUEUE, ignore_result=True
        )

    def waiting(self, model: str) -> int:
        """Messages that no worker has taken yet. Raises when the broker is away."""
        with self._app.connection_for_write() as connection, connection.channel() as channel:
            declared = self._app.amqp.queues[queue_of(model)].bind(channel)
            return int(declared.queue_declare(passive=False).message_count)

    def ping(self) -> None:
        """Raise unless the broker answers within a few seconds."""
        with self._app.connection_for_write(connect_timeout=PING_S) as connection:
            connection.transport_options = {
                **connection.transport_options,
                "socket_timeout": PING_S,
                "socket_connect_timeout": PING_S,
            }
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=PING_S)

    def close(self) -> None:
        """Send what is waiting, for a few seconds at most; report the rest as not sent."""
        deadline = time.monotonic() + CLOSE_S
        while self._thread is not None and self._thread.is_alive() and not self._parcels.empty():
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=1)
        with suppress(queue.Empty):
            while True:
                self._failed([self._parcels.get_nowait().parcel], "the process ends")

    def _start(self) -> None:
        with self._starting:  # in the serving process, not in the one it was forked from
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._relay, name="publisher", daemon=True)
                self._thread.start()

    def _relay(self) -> None:
        held: _Waiting | None = None  # it did not fit into the message before
        while held or not self._ending.is_set():
            parcels, held = self._gather(held)
            try:
                if parcels:
                    self._send(parcels)
            except Exception as error:  # noqa: BLE001 - any failure of the broker means the same
                self._failed(parcels, f"{type(error).__name__}: {error}")

    def _send(self, parcels: Sequence[Parcel]) -> None:
        origins = {parcel.job_id: parcel.origin for parcel in parcels}
        tracing.note(origins)
        first, *others = origins.values()
        images = sum(len(parcel.positions) for parcel in parcels)
        with tracing.span("publish", origin=first, links=list(filter(None, others)), images=images):
            self.send(*parcels)

    def _gather(self, first: _Waiting | None) -> tuple[list[Parcel], _Waiting | None]:
        """Parcels for one message, and the next parcel where it does not fit in."""
        try:
            first = first or self._parcels.get(timeout=0.2)
        except queue.Empty:
            return [], None
        parcels, hurried = [first.parcel], first.hurried
        images = len(first.parcel.positions)
        while images < self._size and not first.parcel.again and first.parcel.styler is None:
            left_s = 0.0 if hurried else first.since + LINGER_S - time.monotonic()
            try:
                other = self._parcels.get(block=left_s > 0, timeout=max(left_s, 0))
            except queue.Empty:
                break
            images += len(other.parcel.positions)
            together = _is_usual(other.parcel) and other.parcel.model == first.parcel.model
            if not together or images > self._size:
                return parcels, other
            parcels.append(other.parcel)
            hurried = hurried or other.hurried
        return parcels, None

    def _failed(self, parcels: Sequence[Parcel], why: str) -> None:
        log.warning(
            "A message was not sent (%s); the reconciler will send it.",
            why,
            extra={"action": "publish_failed", "job_id": str(parcels[0].job_id)},
        )
        try:
            for parcel in parcels:
                self._on_failure(parcel)
        except Exception:
            log.warning("The failure could not be noted.", exc_info=True)


def _is_usual(parcel: Parcel) -> bool:
    """Whether it may share a message."""
    return not parcel.again and parcel.styler is None
