"""Celery, as both sides configure it, and the sending side.

A message is a wake-up: a job id and positions, nothing else. The database says what is to be done,
so a lost or doubled message changes nothing (docs/adr/0001).
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from celery import Celery
from kombu.entity import Queue

from captioner.catalog import queue_of
from captioner.settings import Settings
from captioner.work import Parcel

log = logging.getLogger(__name__)

CAPTION_TASK = "captioner.caption"
CAPTION_AGAIN_TASK = "captioner.caption_again"
WEBHOOK_TASK = "captioner.webhook"
WEBHOOK_QUEUE = "captioner.webhooks"
KEY_PREFIX = "cap:"
VISIBILITY_TIMEOUT_S = 120
PING_S = 2
CLOSE_S = 5
SEND_S = 3
"""How long a sender waits for each answer of the broker; it tries twice."""
BACKLOG = 10_000
"""Parcels that may wait for a slow broker in memory; past it the reconciler sends them."""


def celery_config(settings: Settings) -> dict[str, Any]:
    """The configuration of both ends. Why each value: docs/adr/0002 and reliability notes there."""
    return {
        "broker_url": settings.broker,
        "broker_transport_options": _transport_options(settings.broker),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,  # a queue deleted in the middle of a start, say
        "broker_pool_limit": 16,  # Flower holds one for each kind of question it asks
        "broker_pool_acquire_timeout": 5,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "task_reject_on_worker_lost": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_queues": [
            *(queue_for(queue_of(model), settings) for model in settings.served_models),
            queue_for(WEBHOOK_QUEUE, settings),
        ],
        "task_default_queue": queue_of(settings.model),
        "task_create_missing_queues": False,
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
        "task_send_sent_event": True,
        "worker_send_task_events": True,
        "worker_pool": "threads",
        "worker_concurrency": settings.concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_consumer": "worker.consumer:SafeConsumer",
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _transport_options(url: str) -> dict[str, Any]:
    if url.startswith(("amqp", "pyamqp")):
        return {"confirm_publish": True}
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 10,  # above the one-second poll, far below the minute of the default
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry_on_timeout": False,
        "global_keyprefix": KEY_PREFIX,
    }


def queue_for(name: str, settings: Settings) -> Queue:
    """A queue: replicated on RabbitMQ, a list on Redis."""
    on_rabbitmq = settings.broker.startswith(("amqp", "pyamqp"))
    arguments = {"x-queue-type": "quorum"} if on_rabbitmq else None
    return Queue(name, routing_key=name, queue_arguments=arguments)  # type: ignore[no-untyped-call]


def celery_app(settings: Settings) -> Celery:
    """A Celery application with that configuration. Opens no connection."""
    app = Celery("captioner", set_as_current=False)
    app.conf.update(celery_config(settings))
    return app


def sending_app(settings: Settings) -> Celery:
    """The same for senders, which need not wait as long as a consumer. Opens no connection."""
    app = celery_app(settings)
    on_rabbitmq = settings.broker.startswith(("amqp", "pyamqp"))
    waits = ("read_timeout", "write_timeout") if on_rabbitmq else ("socket_timeout",)
    app.conf.update(
        broker_connection_timeout=SEND_S,
        broker_transport_options={
            **app.conf.broker_transport_options,
            **dict.fromkeys(waits, SEND_S),
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0},
    )
    return app


class Publisher:
    """Sends parcels from one thread of its own, so that a slow broker never holds a request.

    What cannot be sent is reported to `on_failure`; it is never lost, only late.
    """

    def __init__(self, app: Celery, *, on_failure: Callable[[Parcel], None]) -> None:
        self._app = app
        self._on_failure = on_failure
        self._parcels: queue.Queue[Parcel] = queue.Queue(BACKLOG)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def publish(self, parcels: Iterable[Parcel]) -> None:
        """Hand over for sending; returns at once."""
        self._start()
        for parcel in parcels:
            try:
                self._parcels.put_nowait(parcel)
            except queue.Full:
                self._failed(parcel, "too many messages are waiting for the broker")

    def send(self, parcel: Parcel) -> None:
        """Send one parcel now. Raises what kombu raises when the broker is away."""
        self._app.send_task(
            CAPTION_AGAIN_TASK if parcel.again else CAPTION_TASK,
            args=(str(parcel.job_id), list(parcel.positions)),
            kwargs={"model": parcel.model},
            queue=queue_of(parcel.model),
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
                self._failed(self._parcels.get_nowait(), "the process ends")

    def _start(self) -> None:
        with self._starting:  # in the serving process, not in the one it was forked from
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._relay, name="publisher", daemon=True)
                self._thread.start()

    def _relay(self) -> None:
        while not self._ending.is_set():
            try:
                parcel = self._parcels.get(timeout=0.2)
            except queue.Empty:
                continue
            try:
                self.send(parcel)
            except Exception as error:  # noqa: BLE001 - any failure of the broker means the same
                self._failed(parcel, f"{type(error).__name__}: {error}")

    def _failed(self, parcel: Parcel, why: str) -> None:
        log.warning(
            "A message was not sent (%s); the reconciler will send it.",
            why,
            extra={"action": "publish_failed", "job_id": str(parcel.job_id)},
        )
        try:
            self._on_failure(parcel)
        except Exception:
            log.warning("The failure could not be noted.", exc_info=True)
