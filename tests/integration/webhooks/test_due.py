"""When a delivery is sent: not twice, not early, and again when a message or a worker is lost."""

import threading

from sqlalchemy import update

from captioner.clock import now_plus
from captioner.webhooks import due
from captioner.webhooks.claiming import claim
from models import WebhookDelivery
from tests.integration.webhooks.sending import (
    only,
    send,
    sender_of,
    taken_due,
    webhook_settings,
)
from tests.receivers import receiver, says, sleeps


def test_messages_for_one_delivery_make_one_post(database, sender, ended) -> None:
    with receiver(sleeps(0.3)) as found:
        job_id = ended(found.url)
        made: list[bool] = []
        threads = [
            threading.Thread(target=lambda: made.extend(send(database, sender, job_id)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(made) == [False] * 7 + [True]
    assert len(found.received) == 1


def test_it_is_not_sent_before_it_is_due(stack, database, ended) -> None:
    settings = webhook_settings(stack, webhook_schedule_s=(300,))
    sender = sender_of(settings, database)
    with receiver(says(503, ("Retry-After", "1000")), 200) as found:
        job_id = ended(found.url)
        assert only(database, job_id).delivery.id in taken_due(database)
        assert send(database, sender, job_id) == [True]
        assert send(database, sender, job_id) == [False]
        assert only(database, job_id).delivery.id not in taken_due(database)
        assert len(found.received) == 1
    waits = only(database, job_id).delivery.next_at - only(database, job_id).attempts[0].at
    assert 999 < waits.total_seconds() < 1010  # what the receiver asked for, and not the 300


def test_a_message_that_was_lost_is_sent_again(database, ended) -> None:
    job_id = ended("http://127.0.0.1:9/hook")
    delivery = only(database, job_id).delivery.id
    assert delivery in taken_due(database)
    assert delivery not in taken_due(database)
    with database.write() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery)
            .values(published_at=now_plus(-due.STALE_S - 1))
        )
    assert delivery in taken_due(database)


def test_an_attempt_whose_worker_is_lost_is_made_again(database, sender, ended) -> None:
    with receiver() as found:
        job_id = ended(found.url)
        delivery = only(database, job_id).delivery.id
        assert delivery in taken_due(database)
        with database.write() as session:  # and then its process is gone
            assert claim(session, delivery, lease_s=60)
        assert send(database, sender, job_id) == [False]
        assert delivery not in taken_due(database)  # its lease still holds
        with database.write() as session:
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.id == delivery)
                .values(lease_until=now_plus(-1), published_at=now_plus(-2))
            )
        assert delivery in taken_due(database)
        assert delivery not in taken_due(database)  # once for each lease
        assert send(database, sender, job_id) == [True]
    assert found.ids == {str(delivery)}
    seen = only(database, job_id)
    assert [each.status for each in seen.attempts] == [None, 200]
    assert seen.delivery.failures == 0  # an attempt that nobody knows of is no failure
