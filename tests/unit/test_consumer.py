"""Celery's consumer, as we use it."""

from celery.events.dispatcher import EventDispatcher

from worker.consumer import SafeConsumer

MANY = 1_000


def test_a_tasks_thread_never_tells_of_tasks_itself() -> None:
    """It would wait for the broker's word on a connection that the event loop reads."""
    asked = []
    consumer = SafeConsumer.__new__(SafeConsumer)
    consumer.event_dispatcher = dispatcher = EventDispatcher(
        enabled=False, buffer_group=["task"], on_send_buffered=lambda: asked.append(1)
    )
    dispatcher.enabled = True
    dispatcher.flush = lambda: asked.append("flushed")
    for _ in range(MANY):
        dispatcher.send("task-succeeded", uuid="1")
    assert asked == [1] * MANY
