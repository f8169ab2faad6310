"""Celery, as both sides configure it. The sending side is `captioner.publishing`.

A message is a wake-up: a job id and positions, nothing else. The database says what is to be done,
so a lost or doubled message changes nothing (docs/adr/0001).
"""

from typing import Any

from celery import Celery
from kombu.entity import Queue
from kombu.transport import TRANSPORT_ALIASES

from captioner.catalog import queue_of
from captioner.settings import Settings

for _scheme in ("redis", "rediss"):
    TRANSPORT_ALIASES[_scheme] = "captioner.redis_transport:Transport"

CAPTION_TASK = "captioner.caption"
CAPTION_AGAIN_TASK = "captioner.caption_again"
WEBHOOK_TASK = "captioner.webhook"
WEBHOOK_QUEUE = "captioner.webhooks"
STYLE_TASK = "captioner.style"
STYLE_QUEUE = "captioner.styles"
"""Of stylers that any worker can ask. A local one has its model's queue."""
KEY_PREFIX = "cap:"
VISIBILITY_TIMEOUT_S = 120
SEND_S = 3
"""How long a sender waits for each answer of the broker; it tries twice."""


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
            queue_for(STYLE_QUEUE, settings),
        ],
        "task_default_queue": queue_of(settings.model),
        "task_create_missing_queues": False,
        "task_publish_retry_policy": {
            "max_retries": 2,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 0.5,
        },
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
