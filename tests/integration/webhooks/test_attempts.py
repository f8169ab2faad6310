"""One attempt after another: what a receiver may do, and what becomes of the delivery."""

import json
import ssl
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import event
from standardwebhooks import Webhook, WebhookVerificationError

from captioner import jobs
from captioner.database import Database
from captioner.webhooks import due
from captioner.webhooks.secret import new_secret
from captioner.webhooks.sender import Sender
from captioner.work import Hook
from models import DeliveryState, Job
from tests.integration.webhooks.sending import (
    come_due,
    end,
    is_over,
    only,
    send,
    send_on,
    sender_of,
    webhook_settings,
)
from tests.processes import free_port
from tests.receivers import SECRET, drips, receiver, says, sleeps
from tests.unit.outbound.certificates import Authority
from tests.unit.outbound.servers import body as answers_ok
from tests.unit.outbound.servers import serve


def test_a_receiver_that_fails_ten_times_is_told_once(database, sender, ended) -> None:
    with receiver(*[500] * 10) as found:
        job_id = ended(found.url)
        send_on(database, sender, job_id, until=lambda: is_over(database, job_id))
    seen = only(database, job_id)
    assert seen.delivery.state == DeliveryState.DELIVERED
    assert found.bad == []
    assert len(found.received) == 11
    assert len(found.taken) == 1
    assert found.ids == {str(seen.delivery.id)}
    assert {each.body for each in found.received} == {seen.delivery.body.encode()}
    assert [each.status for each in seen.attempts] == [500] * 10 + [200]
    assert all(each.duration_ms > 0 for each in seen.attempts)


@pytest.mark.parametrize("status", [200, 410, 503])
def test_a_retry_after_of_no_sense_settles_like_none(database, sender, ended, status) -> None:
    no_such_year = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    with receiver(says(status, ("Retry-After", no_such_year)), 200) as found:
        job_id = ended(found.url)
        assert send(database, sender, job_id) == [True]
    seen = only(database, job_id)
    assert [each.status for each in seen.attempts] == [status]
    assert seen.delivery.lease_until is None
    states = {200: DeliveryState.DELIVERED, 410: DeliveryState.DISABLED, 503: DeliveryState.PENDING}
    assert seen.delivery.state == states[status]


@pytest.mark.parametrize("status", [200, 410, 503])
def test_a_job_that_is_deleted_while_its_webhook_is_settled_blocks_nothing(
    stack, database, sender, ended, status
) -> None:
    faults: list[BaseException] = []

    def delete(job_id) -> None:
        other = Database(stack.database_url)
        try:
            with other.write() as session:
                jobs.delete_job(session, job_id)
        except BaseException as fault:
            faults.append(fault)
        finally:
            other.close()

    with receiver(status) as found:
        job_id = ended(found.url)
        thread = threading.Thread(target=delete, args=(job_id,))

        def between(_conn, _cursor, statement, *_) -> None:
            settles = statement.startswith("UPDATE webhook_") and "attempts=(" not in statement
            between.seen += settles
            if settles and between.seen == 2:
                thread.start()
                thread.join(0.5)  # it waits for the first of the rows by then

        between.seen = 0
        event.listen(database.engine, "before_cursor_execute", between)
        assert send(database, sender, job_id) == [True]
        event.remove(database.engine, "before_cursor_execute", between)
        thread.join(60)
    assert between.seen == 2
    assert faults == []
    with database.read() as session:
        assert session.get(Job, job_id) is None


def test_the_signature_covers_what_was_sent(database, sender, ended) -> None:
    with receiver() as found:
        job_id = ended(found.url)
        send(database, sender, job_id)
    (got,) = found.received
    assert got.headers["content-type"] == "application/json"
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    assert Webhook(SECRET).verify(got.body, got.headers)["data"]["id"] == str(job_id)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(SECRET).verify(got.body.replace(b"red", b"sad"), got.headers)


def test_during_a_rotation_the_old_and_the_new_secret_verify(stack, database, ended) -> None:
    newest = new_secret()
    settings = webhook_settings(stack, webhook_secrets=(newest, SECRET))
    with receiver(secrets=(newest, SECRET)) as found:
        send(database, sender_of(settings, database), ended(found.url))
    assert len(found.taken) == 1
    assert found.bad == []
    first = found.received[0].headers["webhook-signature"].split(" ")[0]
    alone = {**found.received[0].headers, "webhook-signature": first}
    Webhook(newest).verify(found.received[0].body, alone)


def test_after_the_last_of_the_schedule_it_has_failed(stack, database, ended) -> None:
    settings = webhook_settings(stack, webhook_schedule_s=(0.01, 0.01))
    with receiver(then=503) as found:
        job_id = ended(found.url)
        send_on(
            database,
            sender_of(settings, database),
            job_id,
            until=lambda: is_over(database, job_id),
        )
    assert only(database, job_id).delivery.state == DeliveryState.FAILED
    assert len(found.received) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(status, database, sender, ended) -> None:
    with receiver() as inside, receiver(says(status, ("Location", inside.url))) as found:
        job_id = ended(found.url)
        send(database, sender, job_id)
        assert inside.received == []
    seen = only(database, job_id)
    assert seen.delivery.state == DeliveryState.PENDING
    assert seen.attempts[0].status == status
    assert "not followed" in seen.attempts[0].error


def test_a_410_ends_it_and_what_comes_later(database, sender, ended) -> None:
    with receiver(410) as found:
        first, later = ended(found.url), ended(found.url)
        assert send(database, sender, first) == [True]
        assert send(database, sender, later) == [False]
        assert len(found.received) == 1
        assert only(database, first).delivery.state == DeliveryState.DISABLED
        assert only(database, later).delivery.state == DeliveryState.DISABLED
        assert only(database, first).attempts[0].status == 410
        assert only(database, later).attempts == []
        with database.write() as session:  # a replay asks the receiver again
            assert due.replay(session, later, only(database, later).delivery.id)
        assert send(database, sender, later) == [True]
        assert send(database, sender, ended(found.url)) == [True]
    assert len(found.taken) == 2


def test_a_replay_has_the_same_id_and_body(database, sender, ended) -> None:
    with receiver() as found:
        job_id = ended(found.url)
        send(database, sender, job_id)
        assert send(database, sender, job_id) == [False]
        with database.write() as session:
            assert due.replay(session, job_id, only(database, job_id).delivery.id)
        assert send(database, sender, job_id) == [True]
    assert len(found.taken) == 2
    assert len(found.ids) == 1
    assert len({each.body for each in found.received}) == 1
    assert found.bad == []


def test_a_slow_body_does_not_hold_the_sender(database, sender, ended) -> None:
    with receiver(drips) as found:
        job_id = ended(found.url)
        began = time.monotonic()
        send(database, sender, job_id)
        assert time.monotonic() - began < 4
    assert only(database, job_id).delivery.state == DeliveryState.DELIVERED


def test_a_receiver_that_does_not_answer_has_failed(stack, database, ended) -> None:
    settings = webhook_settings(stack, webhook_timeout_s=0.5)
    with receiver(sleeps(1)) as found:
        job_id = ended(found.url)
        send(database, sender_of(settings, database), job_id)
    seen = only(database, job_id)
    assert seen.delivery.state == DeliveryState.PENDING
    assert seen.attempts[0].error.startswith("url_unreachable")
    assert 400 < seen.attempts[0].duration_ms < 2000


def test_a_certificate_that_nobody_signed_is_a_failure(
    database, sender, ended, tmp_path: Path
) -> None:
    stranger: ssl.SSLContext = Authority(tmp_path).server("127.0.0.1")
    with serve(answers_ok(b""), tls=stranger) as server:
        job_id = ended(f"https://127.0.0.1:{server.port}/hook")
        send(database, sender, job_id)
        assert server.requests == []
    assert "TLS" in only(database, job_id).attempts[0].error


def test_a_receiver_that_was_down_gets_it_when_it_is_up(database, sender, ended) -> None:
    port = free_port()
    job_id = ended(f"http://127.0.0.1:{port}/hook")
    for _ in range(3):
        come_due(database, job_id)
        assert send(database, sender, job_id) == [True]
    with receiver(port=port) as found:
        come_due(database, job_id)
        assert send(database, sender, job_id) == [True]
    assert len(found.taken) == 1
    assert [each.status for each in only(database, job_id).attempts] == [None] * 3 + [200]


def test_an_address_inside_is_never_called(stack, database, ended) -> None:
    settings = webhook_settings(stack, outbound_allow=())
    with receiver() as found:
        job_id = ended(found.url)
        send(database, sender_of(settings, database), job_id)
        assert found.received == []
    assert only(database, job_id).attempts[0].error.startswith("url_not_allowed")


class Broken:
    """An outbound that makes a mistake of ours."""

    def post(self, *_: object, **__: object) -> None:
        raise KeyError("a mistake")


def test_a_mistake_of_ours_is_a_failure_too_and_not_made_for_ever(
    settings, database, ended
) -> None:
    job_id = ended("https://a.example/hook")
    send(database, Sender(settings, database, Broken()), job_id)
    seen = only(database, job_id)
    assert seen.attempts[0].error == "internal_error: KeyError"
    assert (seen.delivery.state, seen.delivery.failures) == (DeliveryState.PENDING, 1)


def test_without_a_secret_nothing_is_sent(stack, database, ended) -> None:
    settings = webhook_settings(stack, webhook_secrets=())
    with receiver() as found:
        job_id = ended(found.url)
        send(database, sender_of(settings, database), job_id)
        assert found.received == []
    assert only(database, job_id).attempts[0].error.startswith("webhooks_unconfigured")


def test_a_job_that_is_not_stored_stays_until_its_end_was_told(database, sender, make) -> None:
    with receiver(500) as found:
        job_id = make(1, webhook=Hook(found.url), stored=False)
        end(database, job_id)
        send(database, sender, job_id)
        with database.write() as session:  # its result was fetched, meanwhile
            assert jobs.delete_delivered(session, job_id).jobs == []
        come_due(database, job_id)
        assert send(database, sender, job_id) == [True]
        with database.write() as session:
            assert jobs.delete_delivered(session, job_id).jobs == [job_id]


def test_the_end_that_was_told_is_reported_once(settings, database, ended) -> None:
    reported: list[object] = []
    sender = sender_of(settings, database, when_delivered=reported.append)
    with receiver(500) as found:
        job_id = ended(found.url)
        send(database, sender, job_id)
        assert reported == []
        send_on(database, sender, job_id, until=lambda: is_over(database, job_id))
    assert reported == [job_id]
    assert json.loads(found.received[0].body)["type"] == "job.finished"
